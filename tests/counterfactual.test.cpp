// SPDX-License-Identifier: Apache-2.0
#include <car/counterfactual.hpp>
#include <car/occlusion.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

namespace {

template <class T>
constexpr double u = std::numeric_limits<T>::epsilon() / 2;

/// A batch of images with room for any layout, its masks, and a plain index.
template <class T>
struct pictures {
    std::ptrdiff_t count, channels, height, width;
    std::vector<T> images, masks, other;

    pictures(std::ptrdiff_t n, std::ptrdiff_t planes, std::ptrdiff_t rows, std::ptrdiff_t columns, unsigned seed)
        : count(n), channels(planes), height(rows), width(columns), images(static_cast<std::size_t>(n * planes * rows * columns)),
          masks(static_cast<std::size_t>(n * rows * columns)), other(images) {
        std::mt19937_64 random(seed);
        std::uniform_real_distribution<double> uniform;
        for (T& v : images) v = static_cast<T>(uniform(random));
        for (T& v : other) v = static_cast<T>(uniform(random));
        for (T& v : masks) v = static_cast<T>(random() % 3 == 0 ? 0 : random() % 2 ? 1 : uniform(random));
    }
    car::image_view<T> view(std::vector<T>& v) const { return {v.data(), count, channels, height, width}; }
    car::image_view<const T> view(const std::vector<T>& v) const { return {v.data(), count, channels, height, width}; }
    car::image_view<const T> mask() const { return {masks.data(), count, 1, height, width}; }
    long double mask_at(std::size_t k) const {
        const auto pixels = static_cast<std::size_t>(height * width), image = k / (static_cast<std::size_t>(channels) * pixels);
        return static_cast<long double>(masks[image * pixels + k % pixels]);
    }
    long double mean_at(std::size_t k) const {
        const auto pixels = static_cast<std::size_t>(height * width), first = k / pixels * pixels;
        long double sum = 0;
        for (std::size_t j = 0; j != pixels; ++j) sum += static_cast<long double>(images[first + j]);
        return sum / static_cast<long double>(pixels);
    }
};

template <class T>
void near(T got, long double want, long double size) {
    CHECK(std::abs(static_cast<long double>(got) - want) <= 4 * static_cast<long double>(u<T>) * size);
}

} // namespace

TEST_CASE_TEMPLATE("erase: every fill against its formula in long double", T, float, double) {
    for (const auto& shape : {std::array<std::ptrdiff_t, 4>{1, 1, 1, 1}, {2, 3, 5, 7}, {3, 1, 28, 28}}) {
        pictures<T> data(shape[0], shape[1], shape[2], shape[3], 1);
        std::vector<T> out(data.images.size(), T(-5));
        const auto check = [&](auto fill_at) {
            for (std::size_t k = 0; k != out.size(); ++k) {
                const long double m = data.mask_at(k), image = static_cast<long double>(data.images[k]);
                near(out[k], (1 - m) * image + m * fill_at(k), 1);
                if (m == 0) CHECK(out[k] == data.images[k]);
            }
        };
        car::erase(data.view(data.images), data.mask(), car::constant_fill{0.75}, data.view(out));
        check([](std::size_t) { return 0.75L; });
        car::erase(data.view(data.images), data.mask(), car::mean_fill{}, data.view(out));
        check([&](std::size_t k) { return data.mean_at(k); });
        car::erase(data.view(data.images), data.mask(), car::background_fill{data.view(data.other)}, data.view(out));
        check([&](std::size_t k) { return static_cast<long double>(data.other[k]); });
        const car::image_view<const T> one(data.other.data(), 1, shape[1], shape[2], shape[3]);
        car::erase(data.view(data.images), data.mask(), car::background_fill{one}, data.view(out));
        check([&](std::size_t k) {
            return static_cast<long double>(data.other[k % static_cast<std::size_t>(shape[1] * shape[2] * shape[3])]);
        });

        std::vector<T> in_place = data.images;
        car::erase(data.view(data.images), data.mask(), car::mean_fill{}, data.view(out));
        car::erase(data.view(in_place), data.mask(), car::mean_fill{}, data.view(in_place));
        CHECK(in_place == out);
        std::vector<T> last(out.size()), last_out(out.size()); // channels last
        const auto layout = [&](std::vector<T>& v) { return car::channels_last(v.data(), shape[0], shape[2], shape[3], shape[1]); };
        const auto source = data.view(data.images), plain = data.view(out);
        const auto each = [&](auto visit) {
            for (std::ptrdiff_t n = 0; n != shape[0]; ++n)
                for (std::ptrdiff_t channel = 0; channel != shape[1]; ++channel)
                    for (std::ptrdiff_t y = 0; y != shape[2]; ++y)
                        for (std::ptrdiff_t x = 0; x != shape[3]; ++x) visit(n, channel, y, x);
        };
        each([&](auto... at) { layout(last)(at...) = source(at...); });
        car::erase(layout(last), data.mask(), car::mean_fill{}, layout(last_out));
        each([&](auto... at) { CHECK(layout(last_out)(at...) == plain(at...)); });
        car::erase(data.view(data.images), data.mask(), car::noise_fill{.seed = 4}, data.view(out));
        car::erase(layout(last), data.mask(), car::noise_fill{.seed = 4}, layout(last_out));
        each([&](auto... at) { CHECK(layout(last_out)(at...) == plain(at...)); });
    }
}

TEST_CASE("what is erased is not read: a NaN under the mask does not come through") {
    std::vector<float> image{NAN, 1, 2, 3}, mask{1, 0, 0, 1}, out(4);
    const car::image_view<float> images(image.data(), 1, 1, 2, 2);
    car::erase(images, {mask.data(), 1, 1, 2, 2}, car::constant_fill{0.5}, {out.data(), 1, 1, 2, 2});
    CHECK(out == std::vector<float>{0.5, 1, 2, 0.5});
}

TEST_CASE("noise is normal, and depends on seed and index alone") {
    const std::ptrdiff_t n = 200000;
    std::vector<double> zero(n), one(n, 1), out(n), other(n);
    const car::image_view<double> images(zero.data(), 1, 1, 1, n), masks(one.data(), 1, 1, 1, n);
    car::erase(images, masks, car::noise_fill{.seed = 1, .mean = 3, .deviation = 2}, {out.data(), 1, 1, 1, n});
    double mean = 0, square = 0, fourth = 0, neighbours = 0;
    for (std::size_t k = 0; k != out.size(); ++k) {
        const double z = (out[k] - 3) / 2;
        mean += z / n;
        square += z * z / n;
        fourth += z * z * z * z / n;
        if (k != 0) neighbours += z * (out[k - 1] - 3) / 2 / n;
    }
    const double error = 5 / std::sqrt(static_cast<double>(n)); // five standard errors of a mean of unit variance
    CHECK(std::abs(mean) <= error);
    CHECK(std::abs(square - 1) <= error * std::sqrt(2.0));
    CHECK(std::abs(fourth - 3) <= error * std::sqrt(96.0));
    CHECK(std::abs(neighbours) <= error);
    std::sort(out.begin(), out.end());
    double distance = 0; // Kolmogorov and Smirnov's
    for (std::size_t k = 0; k != out.size(); ++k)
        distance = std::max(distance, std::abs(0.5 * std::erfc((3 - out[k]) / 2 / std::sqrt(2.0)) - (static_cast<double>(k) + 0.5) / n));
    CHECK(distance <= 1.95 / std::sqrt(static_cast<double>(n)) + 0.5 / n); // 0.1 %
    car::erase(images, masks, car::noise_fill{.seed = 2, .mean = 3, .deviation = 2}, {other.data(), 1, 1, 1, n});
    std::sort(other.begin(), other.end());
    CHECK(other != out);
}

TEST_CASE_TEMPLATE("the gradient is the adjoint of erase", T, float, double) {
    for (const auto& shape : {std::array<std::ptrdiff_t, 4>{1, 1, 1, 1}, {2, 3, 5, 7}}) {
        pictures<T> data(shape[0], shape[1], shape[2], shape[3], 2);
        std::vector<T> direction = data.other, up(data.images.size()), moved(up), plain(up), grad(up);
        std::mt19937_64 random(3);
        std::normal_distribution<double> normal(0, 2);
        for (T& g : up) g = static_cast<T>(normal(random));
        const auto adjoint = [&](auto fill, auto linear_fill) { // <g, erase'(direction)> = <vjp(g), direction>
            car::erase(data.view(direction), data.mask(), linear_fill, data.view(moved));
            car::erase_vjp(data.mask(), data.view(up), fill, data.view(grad));
            long double left = 0, right = 0, size = 0;
            for (std::size_t k = 0; k != up.size(); ++k) {
                left += static_cast<long double>(up[k]) * static_cast<long double>(moved[k]);
                right += static_cast<long double>(grad[k]) * static_cast<long double>(direction[k]);
                size += std::abs(static_cast<long double>(up[k]));
            }
            CHECK(std::abs(left - right) <= 4 * static_cast<long double>(u<T>) * size);
        };
        adjoint(car::constant_fill{0.3}, car::constant_fill{0});
        adjoint(car::mean_fill{}, car::mean_fill{});
        adjoint(car::noise_fill{}, car::constant_fill{0});
        adjoint(car::background_fill{data.view(data.other)}, car::constant_fill{0});
        std::vector<T> in_place = up, masks = data.masks;
        const car::image_view<T> written(masks.data(), shape[0], 1, shape[2], shape[3]); // a mask that may be written is read all the same
        car::erase_vjp(written, data.view(up), car::mean_fill{}, data.view(in_place));
        car::erase_vjp(data.mask(), data.view(up), car::mean_fill{}, data.view(grad));
        CHECK(in_place == grad);
        in_place = up;
        car::erase_vjp(data.mask(), data.view(in_place), car::mean_fill{}, data.view(in_place));
        CHECK(in_place == grad);
    }
}

TEST_CASE_TEMPLATE("the background's gradient, one for each image and one for all", T, float, double) {
    pictures<T> data(3, 2, 5, 7, 4);
    const std::size_t each = 2 * 5 * 7;
    std::vector<T> grad(data.images.size()), plain(grad), background(grad), shared(each);
    const car::image_view<const T> one(data.other.data(), 1, 2, 5, 7);
    const car::background_fill<T> own{data.view(std::as_const(data.other))}, common{one};
    const auto up = data.view(std::as_const(data.images));
    car::erase_vjp(data.mask(), up, own, data.view(plain));
    car::erase_vjp(data.mask(), up, own, data.view(grad), data.view(background));
    CHECK(grad == plain);
    for (std::size_t k = 0; k != background.size(); ++k) near(background[k], data.mask_at(k) * static_cast<long double>(data.images[k]), 1);
    car::erase_vjp(data.mask(), up, common, data.view(grad), {shared.data(), 1, 2, 5, 7});
    CHECK(grad == plain);
    for (std::size_t k = 0; k != each; ++k) {
        long double sum = 0;
        for (std::size_t n = 0; n != 3; ++n) sum += data.mask_at(n * each + k) * static_cast<long double>(data.images[n * each + k]);
        near(shared[k], sum, 3);
    }
}

TEST_CASE("noise of a batch in two parts is the batch's noise") {
    std::vector<float> images(4 * 6), masks(4 * 6, 1), whole(24), parts(24);
    const car::noise_fill fill{.seed = 9};
    car::erase(car::image_view<float>(images.data(), 4, 1, 2, 3), {masks.data(), 4, 1, 2, 3}, fill, {whole.data(), 4, 1, 2, 3});
    for (std::uint64_t first : {0u, 3u}) {
        car::noise_fill part = fill;
        part.first_image = first;
        const std::ptrdiff_t count = first == 0 ? 3 : 1;
        car::erase(car::image_view<float>(images.data(), count, 1, 2, 3), {masks.data(), count, 1, 2, 3}, part,
                   {parts.data() + first * 6, count, 1, 2, 3});
    }
    CHECK(parts == whole);
}

TEST_CASE_TEMPLATE("occlude: area, centre and blending at every scale", T, float, double) {
    const std::ptrdiff_t size = 40;
    const std::vector<car::box> boxes{{8, 6, 20, 20}, {10.5, 3.25, 12, 30}, {-6, 30, 16, 16}, {0, 0, 0, 0}, {100, 100, 4, 4}};
    const auto frames = static_cast<std::ptrdiff_t>(boxes.size());
    std::vector<T> clip(static_cast<std::size_t>(frames * size * size), T(0.25)), out(clip.size(), T(-1)), cover(clip.size(), T(-1));
    const std::vector<T> occluder(6 * 4, T(0.75)), opacity(6 * 4, T(1)); // 4 high, 6 wide
    const car::image_view<const T> source(clip.data(), frames, 1, size, size), object(occluder.data(), 1, 1, 4, 6),
        opaque(opacity.data(), 1, 1, 4, 6);
    const car::image_view<T> target(out.data(), frames, 1, size, size), coverage(cover.data(), frames, 1, size, size);
    for (const double scale : {0.25, 0.5, 0.75, 1.0})
        for (const double alpha : {1.0, 0.4}) {
            car::occlude(source, boxes, object, opaque, {.scale = scale, .alpha = alpha}, target, coverage);
            for (std::ptrdiff_t n = 0; n != 2; ++n) { // the boxes inside the frame
                const car::box& b = boxes[static_cast<std::size_t>(n)];
                const double factor = scale * std::min(b.width / 6, b.height / 4);
                double area = 0, x_mean = 0, y_mean = 0;
                for (std::ptrdiff_t y = 0; y != size; ++y)
                    for (std::ptrdiff_t x = 0; x != size; ++x) {
                        const double a = static_cast<double>(coverage(n, 0, y, x));
                        area += a;
                        x_mean += a * (static_cast<double>(x) + 0.5);
                        y_mean += a * (static_cast<double>(y) + 0.5);
                        CHECK(std::abs(static_cast<double>(target(n, 0, y, x)) - ((1 - a) * 0.25 + a * 0.75)) <= 4 * u<T>);
                    }
                const double rounding = 8 * u<T> * size;
                CHECK(area == doctest::Approx(alpha * 24 * factor * factor).epsilon(rounding));
                CHECK(x_mean / area == doctest::Approx(b.x + b.width / 2).epsilon(rounding));
                CHECK(y_mean / area == doctest::Approx(b.y + b.height / 2).epsilon(rounding));
            }
            for (std::ptrdiff_t n = 3; n != frames; ++n) // no actor, or out of sight: unchanged to the bit
                for (std::ptrdiff_t k = 0; k != size * size; ++k) CHECK(target(n, 0, k / size, k % size) == T(0.25));
        }
    const std::vector<T> want = out;
    std::vector<T> in_place = clip;
    const car::image_view<T> same(in_place.data(), frames, 1, size, size);
    car::occlude(same, boxes, object, opaque, {.scale = 1, .alpha = 0.4}, same);
    CHECK(in_place == want);
}

TEST_CASE("an occluder as large as its box is copied pixel by pixel; a transparent border does not show") {
    const std::vector<double> frame(16, 0.5), occluder{1, 0, 0.25, 0.75}, opacity{1, 1, 0, 1};
    std::vector<double> out(16);
    const std::vector<car::box> boxes{{1, 1, 2, 2}};
    const car::image_view<const double> source(frame.data(), 1, 1, 4, 4), object(occluder.data(), 1, 1, 2, 2),
        opaque(opacity.data(), 1, 1, 2, 2);
    car::occlude(source, boxes, object, opaque, {.scale = 1}, {out.data(), 1, 1, 4, 4});
    CHECK(out[5] == 1);
    CHECK(out[6] == 0);
    CHECK(out[9] == 0.5); // transparent
    CHECK(out[10] == 0.75);
    CHECK(out[0] == 0.5);
    const std::vector<double> bright{0.25, 1}, half{1, 0}; // the right half is white, and transparent
    car::occlude(source, std::vector<car::box>{{1, 1, 1, 1}}, car::image_view<const double>(bright.data(), 1, 1, 1, 2),
                 car::image_view<const double>(half.data(), 1, 1, 1, 2), {.scale = 1}, {out.data(), 1, 1, 4, 4});
    CHECK(out[5] == doctest::Approx(0.5 * 0.75 + 0.25 * 0.25)); // a quarter of the pixel is covered, in dark grey
}

TEST_CASE("vast and tiny boxes: the colour is the occluder's or the frame's, never anything else") {
    const std::vector<double> frame(16, 1), occluder(4, 2), opacity(4, 1);
    std::vector<double> out(16);
    const car::image_view<const double> source(frame.data(), 1, 1, 4, 4), object(occluder.data(), 1, 1, 2, 2),
        opaque(opacity.data(), 1, 1, 2, 2);
    for (const double corner : {0.0, -1e308, 8e307, -1e-320, -4.9e299, -0.5e300})
        for (const double extent : {1e-320, 1e-300, 1e16, 1e300, 8e307})
            for (const double scale : {1e-300, 1.0, 1e10, 1e308}) {
                CAPTURE(corner);
                CAPTURE(extent);
                CAPTURE(scale);
                car::occlude(source, std::vector<car::box>{{corner, corner, extent, extent}}, object, opaque, {.scale = scale},
                             {out.data(), 1, 1, 4, 4});
                for (const double colour : out) CHECK((colour >= 1 && colour <= 2));
            }
    // far wider than the frame and around it: nothing of the frame is left, to the last bit
    car::occlude(source, std::vector<car::box>{{-5e299, -5e299, 1e300, 1e300}}, object, opaque, {.scale = 1}, {out.data(), 1, 1, 4, 4});
    CHECK(out == std::vector<double>(16, 2));
    // its edges overflow: refused
    CHECK_THROWS_WITH_AS(car::occlude(source, std::vector<car::box>{{1e308, 0, 1e308, 1}}, object, opaque, {}, {out.data(), 1, 1, 4, 4}),
                         doctest::Contains("box of frame 0 is not finite"), std::invalid_argument);
    CHECK(out == std::vector<double>(16, 2));
}

TEST_CASE("the paper's factors") {
    const std::ptrdiff_t size = 32;
    const std::vector<car::box> boxes{{4, 4, 16, 16}, {5, 5, 16, 16}, {6, 6, 16, 16}, {7, 7, 16, 16}, {0, 0, 0, 0}};
    std::vector<double> clip(5 * size * size), cover(clip.size());
    const std::vector<double> square(64, 1);
    const car::image_view<double> frames(clip.data(), 5, 1, size, size), coverage(cover.data(), 5, 1, size, size);
    const car::image_view<const double> object(square.data(), 1, 1, 8, 8);
    car::occlude(frames, boxes, object, object, {.scale = 0.5, .first_frame = 1, .last_frame = 4}, frames, coverage);
    const auto half = car::occlusion_factors_of(coverage, boxes);
    CHECK(half.degree == 0.5);
    CHECK(half.area_ratio == 0.25);
    CHECK(half.duration_ratio == 0.75);
    const std::vector<car::box> cut{{-8, 0, 16, 16}}; // half out of the frame: only what is seen counts
    std::vector<double> mask(size * size, 0);
    for (std::size_t k = 0; k != 16; ++k) mask[k * size] = mask[k * size + 1] = 1;
    CHECK(car::occlusion_factors_of(car::image_view<double>(mask.data(), 1, 1, size, size), cut).area_ratio == 0.25);
    const std::vector<car::box> fraction{{0.5, 0, 2, 16}}; // 0.5 of pixel 0, pixel 1, 0.5 of pixel 2
    CHECK(car::occlusion_factors_of(car::image_view<double>(mask.data(), 1, 1, size, size), fraction).area_ratio == 0.75);
    const auto nobody =
        car::occlusion_factors_of(car::image_view<double>(mask.data(), 1, 1, size, size), std::vector<car::box>{{0, 0, 0, 0}});
    CHECK(std::isnan(nobody.degree));
    CHECK(std::isnan(nobody.duration_ratio));
}

TEST_CASE("errors") {
    std::vector<float> image(12, 1), mask(12, 1), out(24, 5);
    const car::image_view<float> images(image.data(), 1, 3, 2, 2), result(out.data(), 1, 3, 2, 2);
    const car::image_view<const float> masks(mask.data(), 1, 1, 2, 2);
    const car::constant_fill black;
    CHECK_THROWS_WITH(car::erase(images, {mask.data(), 1, 2, 2, 2}, black, result),
                      "car::erase: masks has shape 1 x 2 x 2 x 2, expected 1 x 1 x 2 x 2");
    CHECK_THROWS_WITH(car::erase(images, masks, black, {out.data(), 1, 3, 2, 3}),
                      "car::erase: out has shape 1 x 3 x 2 x 3, expected 1 x 3 x 2 x 2");
    CHECK_THROWS_WITH(car::erase(images, masks, car::constant_fill{NAN}, result),
                      "car::erase: fill.value is nan, expected a finite number");
    CHECK_THROWS_WITH(car::erase(images, masks, car::noise_fill{.deviation = -1}, result),
                      "car::erase: fill.deviation is negative, expected 0 or more");
    CHECK_THROWS_WITH(car::erase(images, masks, black, {image.data() + 1, 1, 3, 2, 2}), "car::erase: out overlaps images");
    CHECK_THROWS_WITH(car::erase(images, masks, black, {nullptr, 1, 3, 2, 2}), "car::erase: out is null, expected 1 x 3 x 2 x 2 elements");
    car::image_view<float> folded = result;
    folded.channel_stride = 1;
    CHECK_THROWS_WITH(car::erase(images, masks, black, folded), "car::erase: out has strides that make its elements overlap");
    const std::vector<car::box> one{{0, 0, 2, 2}}, none, infinite{{0, 0, INFINITY, 2}};
    const car::image_view<const float> object(mask.data(), 1, 3, 2, 2);
    CHECK_THROWS_WITH(car::occlude(images, none, object, masks, {}, result),
                      "car::occlude: boxes has size 0, expected 1, one for each frame");
    CHECK_THROWS_WITH(car::occlude(images, infinite, object, masks, {}, result), "car::occlude: box of frame 0 is not finite");
    CHECK_THROWS_WITH(car::occlude(images, one, masks, masks, {}, result),
                      "car::occlude: occluder has shape 1 x 1 x 2 x 2, expected 1 x 3 x 2 x 2");
    CHECK_THROWS_WITH(car::occlude(images, one, object, masks, {.scale = 0}, result),
                      "car::occlude: scale is 0.000000, expected a positive number");
    CHECK_THROWS_WITH(car::occlude(images, one, object, masks, {.alpha = 1.5}, result), "car::occlude: alpha is outside [0, 1]");
    CHECK_THROWS_WITH(car::occlude(images, one, object, masks, {.last_frame = 2}, result),
                      "car::occlude: first_frame and last_frame are not a range of the clip's frames");
    CHECK(out == std::vector<float>(24, 5));
}
