// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/arithmetic.hpp" // compensated_sum
#include "detail/random.hpp"     // mix
#include "image.hpp"             // image_view, its checks

#include <cmath>       // std::log, std::sqrt, std::cos
#include <cstdint>     // std::uint64_t
#include <type_traits> // std::type_identity_t

namespace car::inline CAR_ABI {

/// What is put in the actor's place. The fill is a method, not a detail: a black silhouette leaks the actor's shape.
struct constant_fill {
    double value = 0;
};

/// The mean of the image's channel, over all its pixels.
struct mean_fill {};

/// Another image: one for all, or one for each.
template <class T, class Space = host>
struct background_fill {
    image_view<const T, Space> images;
};
template <class T, class Space>
background_fill(image_view<T, Space>) -> background_fill<std::remove_const_t<T>, Space>;

/// Normal noise. A pixel's value depends on the seed and its index (first_image + n, channel, y, x) in images of this shape alone: no
/// split, order or layout shows. `first_image` is the place of a batch's first image in the whole.
struct noise_fill {
    std::uint64_t seed = 0;
    double mean = 0;
    double deviation = 1;
    std::uint64_t first_image = 0;
};

namespace detail {

/// A standard normal number for an index: Box and Muller's transform of outputs 2 index and 2 index + 1 of SplitMix64. Its seed is
/// mixed first, since seeds a step apart would give one sequence, shifted. At most 8.6 in size.
inline double normal_noise(std::uint64_t seed, std::uint64_t index) {
    constexpr std::uint64_t step = 0x9e3779b97f4a7c15u;
    const std::uint64_t state = mix(seed) + (2 * index + 1) * step;
    const double radius = static_cast<double>((mix(state) >> 11) + 1) * 0x1p-53; // in (0, 1]
    const double angle = static_cast<double>(mix(state + step) >> 11) * 0x1p-53; // in [0, 1)
    return std::sqrt(-2 * std::log(radius)) * std::cos(6.283185307179586 * angle);
}

/// The mean over one plane of an image, of value(y, x).
template <class T, class Value>
double plane_mean(const image_view<T>& images, Value value) {
    compensated_sum sum;
    for (std::ptrdiff_t y = 0; y != images.height; ++y)
        for (std::ptrdiff_t x = 0; x != images.width; ++x) sum.add(value(y, x));
    return sum.value() / static_cast<double>(images.height * images.width);
}

/// What is put at a pixel of an image's channel. A mean is taken here, once, before anything is written.
inline auto filler(const auto&, const constant_fill& fill, std::ptrdiff_t, std::ptrdiff_t) {
    return [value = fill.value](std::ptrdiff_t, std::ptrdiff_t) { return value; };
}
inline auto filler(const auto& images, const mean_fill&, std::ptrdiff_t n, std::ptrdiff_t channel) {
    const double mean =
        plane_mean(images, [&](std::ptrdiff_t y, std::ptrdiff_t x) { return static_cast<double>(images(n, channel, y, x)); });
    return [mean](std::ptrdiff_t, std::ptrdiff_t) { return mean; };
}
template <class T>
auto filler(const auto&, const background_fill<T>& fill, std::ptrdiff_t n, std::ptrdiff_t channel) {
    return [images = fill.images, n = fill.images.count == 1 ? 0 : n, channel](std::ptrdiff_t y, std::ptrdiff_t x) {
        return static_cast<double>(images(n, channel, y, x));
    };
}
inline auto filler(const auto& images, const noise_fill& fill, std::ptrdiff_t n, std::ptrdiff_t channel) {
    const auto size = [](std::ptrdiff_t value) { return static_cast<std::uint64_t>(value); };
    const std::uint64_t plane = (fill.first_image + size(n)) * size(images.channels) + size(channel);
    return [=, height = size(images.height), width = size(images.width)](std::ptrdiff_t y, std::ptrdiff_t x) {
        return fill.mean + fill.deviation * normal_noise(fill.seed, (plane * height + size(y)) * width + size(x));
    };
}

inline void check_fill(const image_checker& check, const constant_fill& fill, const auto&, const char*, const auto&) {
    check.finite("fill.value", fill.value);
}
inline void check_fill(const image_checker&, const mean_fill&, const auto&, const char*, const auto&) {}
template <class T, class Space>
void check_fill(const image_checker& check, const background_fill<T, Space>& fill, const auto& images, const char* name, const auto& out) {
    check.shape("background", fill.images, fill.images.count == 1 ? 1 : images.count, images.channels, images.height, images.width);
    check.separate(name, out, "background", fill.images, false);
}
inline void check_fill(const image_checker& check, const noise_fill& fill, const auto&, const char*, const auto&) {
    check.finite("fill.mean", fill.mean);
    check.finite("fill.deviation", fill.deviation);
    check.require(fill.deviation >= 0, "fill.deviation is negative, expected 0 or more");
}

/// What `erase` and its gradient check alike.
template <class T, class Space, class Fill>
void check_erase(const image_checker& check, const char* name, const image_view<const T, Space>& images,
                 const image_view<const T, Space>& masks, const Fill& fill, const char* out_name, const image_view<T, Space>& out) {
    check.readable(name, images);
    check.shape("masks", masks, images.count, masks.channels == images.channels ? images.channels : 1, images.height, images.width);
    check.shape(out_name, out, images.count, images.channels, images.height, images.width);
    check.distinct(out_name, out);
    check.separate(out_name, out, name, images, true);
    check.separate(out_name, out, "masks", masks, false);
    check_fill(check, fill, images, out_name, out);
}

} // namespace detail

/// The counterfactual image: the actor is erased, everything else is kept.
///
///     out = (1 - mask) image + mask fill
///
/// Shapes    images, out: N x channels x height x width, any strides; out may be images itself. masks: N images of 1 channel, for
///           all channels, or of as many; 1 erases, 0 keeps, between them the two are blended. A background: 1 or N images.
/// Requires  shapes that agree, an output that shares no range of memory with anything else, finite options, deviation >= 0; else
///           throws std::invalid_argument, nothing written.
/// Numerics  error at most 6u (|(1 - mask) image| + |mask fill|) and the least subnormal number, up to 2^26 pixels; for mean_fill,
///           |fill| is the mean of |image|. Where the mask is 0 the pixel is unchanged to the bit; where it is 1 the pixel is not
///           read, but for its part in a mean. Noise is within 2^-45 of Box and Muller's formula, the same to the bit on one machine.
/// Cost      each input read once, images twice for the mean; allocates nothing.
/// Source    OccludeNet, section 4.2: segmentation and feature erasure.
template <class T, class Fill>
void erase(image_view<T> images, std::type_identity_t<image_view<const std::remove_const_t<T>>> masks, const Fill& fill,
           std::type_identity_t<image_view<std::remove_const_t<T>>> out) {
    using Value = std::remove_const_t<T>;
    const image_view<const Value> source = images;
    detail::check_erase<Value>(detail::image_checker("erase"), "images", source, masks, fill, "out", out);
    for (std::ptrdiff_t n = 0; n != source.count; ++n)
        for (std::ptrdiff_t channel = 0; channel != source.channels; ++channel) {
            const auto filled = detail::filler(source, fill, n, channel);
            for (std::ptrdiff_t y = 0; y != source.height; ++y)
                for (std::ptrdiff_t x = 0; x != source.width; ++x) {
                    const auto mask = static_cast<double>(masks(n, masks.channels == 1 ? 0 : channel, y, x));
                    const Value pixel = source(n, channel, y, x);
                    out(n, channel, y, x) =
                        mask == 0 ? pixel : static_cast<Value>(detail::part(1 - mask, static_cast<double>(pixel)) + mask * filled(y, x));
                }
        }
}

/// Vector-Jacobian product of `erase` to its images.
///
///     grad_images = (1 - mask) g,   with mean_fill plus sum(mask g) / pixels of the channel
///
/// Shapes    masks: as in erase. upstream (g), grad_images: as images; grad_images may be upstream itself.
/// Requires  as erase.
/// Numerics  error at most 6u (|(1 - mask) g| + the mean of |mask g| if the fill is one) and the least subnormal number, up to 2^26
///           pixels. A weight of 0 gives 0 whatever g is.
/// Cost      masks and upstream read once, twice for the mean; allocates nothing.
/// Source    the derivative of erase.
template <class T, class Fill>
void erase_vjp(image_view<T> masks, std::type_identity_t<image_view<const std::remove_const_t<T>>> upstream, const Fill& fill,
               std::type_identity_t<image_view<std::remove_const_t<T>>> grad_images) {
    using Value = std::remove_const_t<T>;
    const image_view<const Value> weights = masks;
    detail::check_erase<Value>(detail::image_checker("erase_vjp"), "upstream", upstream, weights, fill, "grad_images", grad_images);
    for (std::ptrdiff_t n = 0; n != upstream.count; ++n)
        for (std::ptrdiff_t channel = 0; channel != upstream.channels; ++channel) {
            const std::ptrdiff_t plane = weights.channels == 1 ? 0 : channel;
            const auto mask = [&](std::ptrdiff_t y, std::ptrdiff_t x) { return static_cast<double>(weights(n, plane, y, x)); };
            const auto g = [&](std::ptrdiff_t y, std::ptrdiff_t x) { return static_cast<double>(upstream(n, channel, y, x)); };
            double through_mean = 0;
            if constexpr (std::is_same_v<Fill, mean_fill>)
                through_mean = detail::plane_mean(upstream, [&](auto y, auto x) { return detail::part(mask(y, x), g(y, x)); });
            for (std::ptrdiff_t y = 0; y != upstream.height; ++y)
                for (std::ptrdiff_t x = 0; x != upstream.width; ++x)
                    grad_images(n, channel, y, x) = static_cast<Value>(detail::part(1 - mask(y, x), g(y, x)) + through_mean);
        }
}

/// The same, and to the background: grad_background = mask g, summed over the images that share it.
///
/// Shapes    grad_background: as the background, 1 or N images.
/// Requires  as erase.
/// Numerics  error at most 6u sum |mask g| and the least subnormal number for each image, up to 2^26 images.
/// Cost      masks and upstream read twice; allocates nothing.
/// Source    the derivative of erase.
template <class T>
void erase_vjp(image_view<T> masks, std::type_identity_t<image_view<const std::remove_const_t<T>>> upstream,
               const background_fill<std::type_identity_t<std::remove_const_t<T>>>& fill,
               std::type_identity_t<image_view<std::remove_const_t<T>>> grad_images,
               std::type_identity_t<image_view<std::remove_const_t<T>>> grad_background) {
    using Value = std::remove_const_t<T>;
    const detail::image_checker check("erase_vjp");
    const image_view<const Value> weights = masks;
    detail::check_erase<Value>(check, "upstream", upstream, weights, fill, "grad_images", grad_images);
    check.shape("grad_background", grad_background, fill.images.count, upstream.channels, upstream.height, upstream.width);
    check.distinct("grad_background", grad_background);
    check.separate("grad_background", grad_background, "upstream", upstream, false);
    check.separate("grad_background", grad_background, "masks", weights, false);
    check.separate("grad_background", grad_background, "background", fill.images, false);
    check.separate("grad_background", grad_background, "grad_images", grad_images, false);
    const std::ptrdiff_t shared = fill.images.count == 1 ? upstream.count : 1;
    for (std::ptrdiff_t n = 0; n != fill.images.count; ++n)
        for (std::ptrdiff_t channel = 0; channel != upstream.channels; ++channel)
            for (std::ptrdiff_t y = 0; y != upstream.height; ++y)
                for (std::ptrdiff_t x = 0; x != upstream.width; ++x) {
                    detail::compensated_sum sum;
                    for (std::ptrdiff_t k = n; k != n + shared; ++k)
                        sum.add(detail::part(static_cast<double>(weights(k, weights.channels == 1 ? 0 : channel, y, x)),
                                             static_cast<double>(upstream(k, channel, y, x))));
                    grad_background(n, channel, y, x) = static_cast<Value>(sum.value());
                }
    erase_vjp(weights, upstream, fill, grad_images); // last: it may overwrite upstream
}

} // namespace car::inline CAR_ABI
