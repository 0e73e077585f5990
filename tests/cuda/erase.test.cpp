// SPDX-License-Identifier: Apache-2.0
// Erasing on a device against its formula in long double: every type, fill and layout.
#include <car/cuda.hpp>

#include "support/device_memory.hpp"
#include "support/message.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace {

using number = long double;

/// Images with any strides, masks of one channel or of all, and backgrounds, on the host; what a call makes of them on a device.
template <class T>
struct pictures {
    std::ptrdiff_t count, channels, height, width, masks_of_image;
    bool channels_last;
    std::vector<T> images, masks, backgrounds, out;
    bool in_place = false, one_background = false;

    pictures(std::ptrdiff_t n, std::ptrdiff_t planes, std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t planes_of_mask, bool last)
        : count(n), channels(planes), height(rows), width(columns), masks_of_image(planes_of_mask), channels_last(last) {
        cases::generator random(static_cast<std::size_t>(rows + columns));
        images.resize(static_cast<std::size_t>(n * planes * rows * columns));
        masks.resize(static_cast<std::size_t>(n * planes_of_mask * rows * columns));
        backgrounds = images, out = images;
        for (T& v : images) v = static_cast<T>(random.normal());
        for (T& v : backgrounds) v = static_cast<T>(random.normal());
        for (T& v : masks) v = static_cast<T>(random.below(3) == 0 ? 0 : random.below(2) == 0 ? 1 : random.uniform());
    }
    template <class U>
    car::image_view<U, car::device> view(U* data, std::ptrdiff_t n, std::ptrdiff_t planes, bool last) const {
        car::image_view<U, car::device> v(data, n, planes, height, width);
        if (last) v.channel_stride = 1, v.column_stride = planes, v.row_stride = width * planes;
        return v;
    }
    std::size_t at(std::ptrdiff_t n, std::ptrdiff_t c, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return static_cast<std::size_t>(n * channels * height * width +
                                        (channels_last ? (y * width + x) * channels + c : (c * height + y) * width + x));
    }
    std::size_t mask_at(std::ptrdiff_t n, std::ptrdiff_t c, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return static_cast<std::size_t>(((n * masks_of_image + (masks_of_image == 1 ? 0 : c)) * height + y) * width + x);
    }
    template <class Fill>
    void run(Fill fill) {
        const device_memory::stream stream;
        const device_memory::array<T> from(images, stream), mask(masks, stream), behind(backgrounds, stream), to(out, stream);
        const auto source = view(from.data(), count, channels, channels_last);
        const auto wanted = in_place ? source : view(to.data(), count, channels, channels_last);
        if constexpr (std::is_same_v<Fill, car::background_fill<T, car::device>>)
            fill.images = view(behind.data(), one_background ? 1 : count, channels, channels_last);
        const auto status = car::erase(car::cuda.on(stream), source, view(mask.data(), count, masks_of_image, false), fill, wanted);
        REQUIRE_MESSAGE(status.ok(), std::string(status.reason));
        stream.wait();
        out = in_place ? from.values() : to.values();
    }
    /// filled(n, c, y, x): its value, and its magnitude in the bound.
    template <class Filled>
    void check(Filled filled) const {
        number worst = 0;
        int changed = 0; // of the pixels that stay
        const number u = types::u<car::term_of<T>>;
        for (std::ptrdiff_t n = 0; n != count; ++n)
            for (std::ptrdiff_t c = 0; c != channels; ++c)
                for (std::ptrdiff_t y = 0; y != height; ++y)
                    for (std::ptrdiff_t x = 0; x != width; ++x) {
                        const number m = static_cast<double>(masks[mask_at(n, c, y, x)]);
                        const T pixel = images[at(n, c, y, x)], got = out[at(n, c, y, x)];
                        if (m == 0) {
                            changed += std::memcmp(&pixel, &got, sizeof(T)) != 0;
                            continue;
                        }
                        const auto [value, size] = filled(n, c, y, x);
                        const number kept = m == 1 ? 0 : (1 - m) * static_cast<double>(pixel), want = kept + m * value;
                        const number bound = 6 * u * (std::abs(kept) + m * size) + static_cast<number>(types::limits<T>::least) +
                                             types::storage_error<T>(std::abs(want));
                        const number error = std::abs(static_cast<double>(got) - want);
                        worst = std::isnan(error) ? HUGE_VALL : std::max(worst, error / bound);
                    }
        CHECK(worst <= 1);
        CHECK(changed == 0);
    }
    std::pair<number, number> mean(std::ptrdiff_t n, std::ptrdiff_t c) const {
        number sum = 0, size = 0;
        for (std::ptrdiff_t y = 0; y != height; ++y)
            for (std::ptrdiff_t x = 0; x != width; ++x) {
                sum += static_cast<double>(images[at(n, c, y, x)]);
                size += std::abs(static_cast<double>(images[at(n, c, y, x)]));
            }
        return {sum / static_cast<number>(height * width), size / static_cast<number>(height * width)};
    }
};

/// Box and Muller's transform of two outputs of SplitMix64, whose seed is mixed.
number noise(std::uint64_t seed, std::uint64_t index) {
    const auto mix = [](std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    };
    const std::uint64_t step = 0x9e3779b97f4a7c15u, state = mix(seed) + (2 * index + 1) * step;
    const number radius = (static_cast<number>(mix(state) >> 11) + 1) / 0x1p53L,
                 turn = static_cast<number>(mix(state + step) >> 11) / 0x1p53L;
    return sqrtl(-2 * logl(radius)) * cosl(8 * atanl(1) * turn);
}

} // namespace

TEST_CASE_TEMPLATE("every fill against its formula", T, float, double, car::bfloat16, car::float16) {
    const pictures<T> all[] = {{2, 3, 5, 7, 1, false}, {1, 1, 1, 1, 1, false}, {2, 2, 71, 61, 2, true}, {1, 2, 3, 700, 1, false}};
    for (const pictures<T>& given : all) {
        CAPTURE(given.width);
        pictures<T> data = given;
        data.in_place = given.width == 7;
        data.run(car::constant_fill{0.75});
        data.check([](auto...) { return std::pair<number, number>(0.75L, 0.75L); });
        data.run(car::mean_fill{});
        data.check([&](auto n, auto c, auto, auto) { return data.mean(n, c); });
        for (const bool one : {false, true}) {
            data.one_background = one;
            data.run(car::background_fill<T, car::device>{});
            data.check([&](auto n, auto c, auto y, auto x) {
                const number value = static_cast<double>(data.backgrounds[data.at(one ? 0 : n, c, y, x)]);
                return std::pair<number, number>(value, std::abs(value));
            });
        }
        const car::noise_fill random{.seed = 9, .mean = 0.5, .deviation = 2, .first_image = 5};
        data.run(random);
        data.check([&](auto n, auto c, auto y, auto x) {
            const auto index = ((5 + n) * data.channels + c) * data.height * data.width + y * data.width + x;
            const number value = 0.5L + 2 * noise(9, static_cast<std::uint64_t>(index));
            return std::pair<number, number>(value, std::abs(value) + 2 * 0x1p-45L / types::u<car::term_of<T>> / 6);
        });
    }
}

TEST_CASE("an erased pixel is not looked at, and a mean has a NaN of its plane alone") {
    pictures<float> data(1, 2, 3, 4, 1, false);
    data.masks.assign(12, 0);
    data.masks[5] = 1;
    data.images[5] = NAN;
    data.run(car::constant_fill{2});
    CHECK(data.out[5] == 2);
    CHECK(data.out[17] == 2);
    data.run(car::mean_fill{});
    CHECK(std::isnan(data.out[5]));
    CHECK(data.out[4] == data.images[4]); // not 0 times NaN
    CHECK(!std::isnan(data.out[17]));
}

TEST_CASE("what is refused") {
    const device_memory::stream stream;
    const device_memory::array<float> memory(64, stream);
    const auto on = car::cuda.on(stream);
    const car::image_view<float, car::device> images(memory.data(), 1, 2, 3, 4), masks(memory.data() + 32, 1, 1, 3, 4);
    CHECK(message_of([&] { (void)car::erase(on, images, images, car::constant_fill{}, masks).ok(); }) ==
          "car::erase: out has shape 1 x 1 x 3 x 4, expected 1 x 2 x 3 x 4");
    CHECK(message_of([&] { (void)car::erase(on, images, masks, car::constant_fill{NAN}, images).ok(); }) ==
          "car::erase: fill.value is nan, expected a finite number");
    const car::image_view<float, car::device> none(nullptr, 0, 1, 1 << 20, 1 << 12);
    CHECK(car::erase(on, none, none, car::constant_fill{}, none).launch == car::launch::not_supported);
}
