// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "functions.cuh" // log, quotient
#include "total.cuh"     // any_sum, the threads of a block

#include <car/backend/cuda/erase.hpp> // the fills

// The pixels of images, a channel of an image by one block or several.
namespace car::inline CAR_ABI::kernel::device_row {

template <class T>
struct pixels {
    T* data;
    std::int64_t image, channel, row, column; ///< strides

    explicit pixels(const image_view<T, device>& v)
        : data(v.data), image(v.image_stride), channel(v.channel_stride), row(v.row_stride), column(v.column_stride) {}
    __device__ T* plane(std::int64_t n, std::int64_t c) const { return data + n * image + c * channel; }
    __device__ std::int64_t at(int y, int x) const { return y * row + x * column; }
};

/// The sizes of a call: `parts` blocks for each channel of each image.
struct image_sizes {
    int channels, height, width, parts;
    bool one_mask, one_background;
};

/// visit(y, x) for this thread's pixels of the rows from `first` to before `last`.
template <class F>
__device__ __forceinline__ void each_pixel(int first, int last, int width, F visit) {
    const int rows = total_threads / width, rest = total_threads - rows * width;
    int y = first + static_cast<int>(threadIdx.x) / width, x = static_cast<int>(threadIdx.x) % width;
    while (y < last) {
        visit(y, x);
        y += rows, x += rest;
        if (x >= width) x -= width, ++y;
    }
}

/// sqrt(x), x >= 0 and far from the ends of the format: without the routine that is called for those.
__device__ __forceinline__ double square_root(double x) {
    if (x == 0) return 0;
    double y;
    asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
#pragma unroll
    for (int step = 0; step != 3; ++step) y = fma(0.5 * y, fma(-x * y, y, 1.0), y);
    const double root = x * y;
    return fma(0.5 * y, fma(-root, root, x), root);
}

/// cos(2 pi t), 0 <= t < 1: the nearest quarter is taken off without error.
__device__ __forceinline__ double cosine_of_turns(double t) {
    const double quarter = add(add(4 * t, format<double>::shift), -format<double>::shift),
                 angle = 6.283185307179586 * fma(quarter, -0.25, t);
    const double square = -angle * angle;
    const auto series = [&](auto first) {
        double sum = 0;
#pragma unroll
        for (int k = 9; k != 0; --k) sum = fma(sum, square * (1.0 / ((2 * k + first) * (2 * k + first - 1))), 1.0);
        return sum;
    };
    const int which = static_cast<int>(quarter) & 3;
    const double value = which % 2 == 0 ? series(0) : angle * series(1);
    return which == 1 || which == 2 ? -value : value;
}

/// SplitMix64's finisher, and a standard normal number for an index: car::detail::mix and normal_noise.
__device__ __forceinline__ std::uint64_t mix(std::uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}
__device__ __forceinline__ double normal_noise(std::uint64_t seed, std::uint64_t index) {
    constexpr std::uint64_t step = 0x9e3779b97f4a7c15u;
    const std::uint64_t state = mix(seed) + (2 * index + 1) * step;
    const double radius = static_cast<double>((mix(state) >> 11) + 1) * 0x1p-53; // in (0, 1]
    const double angle = static_cast<double>(mix(state + step) >> 11) * 0x1p-53; // in [0, 1)
    return square_root(-2 * log<double>(radius, 0)) * cosine_of_turns(angle);
}

/// What a fill puts at each pixel of a plane.
template <class T>
struct constant_pixels {
    using storage = T;
    double value;

    explicit constant_pixels(const constant_fill& fill) : value(fill.value) {}
    template <class Group>
    __device__ auto plane(Group, const T*, const pixels<const T>&, const image_sizes&, std::int64_t, std::int64_t) const {
        return [filled = static_cast<term_of<T>>(value)](int, int) { return filled; };
    }
};
template <class T>
struct mean_pixels {
    using storage = T;

    explicit mean_pixels(const mean_fill&) {}
    template <class Group>
    __device__ auto plane(Group group, const T* image, const pixels<const T>& images, const image_sizes& sizes, std::int64_t,
                          std::int64_t) const {
        any_sum sum;
        each_pixel(0, sizes.height, sizes.width, [&](int y, int x) { sum.add_term(static_cast<double>(widen(image[images.at(y, x)]))); });
        group.reduce(sum);
        const double mean = quotient(sum.value(), static_cast<double>(sizes.height) * sizes.width);
        return [filled = static_cast<term_of<T>>(mean)](int, int) { return filled; };
    }
};
template <class T>
struct background_pixels {
    using storage = T;
    pixels<const T> backgrounds;

    explicit background_pixels(const background_fill<T, device>& fill) : backgrounds(fill.images) {}
    template <class Group>
    __device__ auto plane(Group, const T*, const pixels<const T>&, const image_sizes& sizes, std::int64_t n, std::int64_t c) const {
        return
            [plane = backgrounds.plane(sizes.one_background ? 0 : n, c), this](int y, int x) { return widen(plane[backgrounds.at(y, x)]); };
    }
};
template <class T>
struct noise_pixels {
    using storage = T;
    noise_fill fill;

    explicit noise_pixels(const noise_fill& wanted) : fill(wanted) {}
    template <class Group>
    __device__ auto plane(Group, const T*, const pixels<const T>&, const image_sizes& sizes, std::int64_t n, std::int64_t c) const {
        const auto size = [](auto value) { return static_cast<std::uint64_t>(value); };
        const std::uint64_t first = ((fill.first_image + size(n)) * size(sizes.channels) + size(c)) * size(sizes.height);
        return [=, width = size(sizes.width), this](int y, int x) {
            return static_cast<term_of<T>>(fma(fill.deviation, normal_noise(fill.seed, (first + size(y)) * width + size(x)), fill.mean));
        };
    }
};

template <class Fill>
__global__ void __launch_bounds__(total_threads)
    erase_pixels(const pixels<const typename Fill::storage> images, const pixels<const typename Fill::storage> masks,
                 const pixels<typename Fill::storage> to, const image_sizes sizes, const Fill fill) {
    using T = typename Fill::storage;
    using A = term_of<T>;
    __shared__ alignas(16) unsigned char scratch[whole_block::scratch_bytes];
    const int part = static_cast<int>(blockIdx.x) % sizes.parts, index = static_cast<int>(blockIdx.x) / sizes.parts;
    const int n = index / sizes.channels, c = index % sizes.channels, rows = (sizes.height + sizes.parts - 1) / sizes.parts;
    const T* const image = images.plane(n, c);
    const T* const mask = masks.plane(n, sizes.one_mask ? 0 : c);
    T* const out = to.plane(n, c);
    const auto filled = fill.plane(whole_block(scratch), image, images, sizes, n, c);
    const int first = part * rows, last = first + rows < sizes.height ? first + rows : sizes.height;
    each_pixel(first, last, sizes.width, [&](int y, int x) {
        const A weight = widen(mask[masks.at(y, x)]), rest = 1 - weight;
        const T pixel = image[images.at(y, x)];
        const A kept = rest == 0 ? A(0) : rest * widen(pixel); // a pixel without weight is not looked at
        out[to.at(y, x)] = weight == 0 ? pixel : narrow<T>(kept + weight * filled(y, x));
    });
}

/// Runs a fill on every pixel. A mean is of a whole plane, and has one block for it.
template <class T, class Pixels>
launch_status run_erase(cuda_backend on, const image_view<const T, device>& images, const image_view<const T, device>& masks,
                        const Pixels& fill, bool one_background, const image_view<T, device>& out) {
    constexpr std::int64_t most = 0x7fffffff, pixels_of_block = 16 * total_threads;
    if (images.height > most / images.width) return {launch::not_supported, "more pixels of a channel than 2^31 - 1"};
    const std::int64_t pixels_of_plane = images.height * images.width, wanted = (pixels_of_plane + pixels_of_block - 1) / pixels_of_block;
    const std::int64_t parts = std::is_same_v<Pixels, mean_pixels<T>> ? 1 : wanted < images.height ? wanted : images.height;
    if (images.channels > most || images.count > most / images.channels / parts)
        return {launch::not_supported, "more channels than a grid has blocks"};
    if (images.count == 0) return {};
    const image_sizes sizes{static_cast<int>(images.channels),
                            static_cast<int>(images.height),
                            static_cast<int>(images.width),
                            static_cast<int>(parts),
                            masks.channels == 1,
                            one_background};
    const auto blocks = static_cast<unsigned>(images.count * images.channels * parts);
    erase_pixels<Pixels>
        <<<blocks, total_threads, 0, on.stream>>>(pixels<const T>(images), pixels<const T>(masks), pixels<T>(out), sizes, fill);
    return launched("erase");
}

} // namespace car::inline CAR_ABI::kernel::device_row
