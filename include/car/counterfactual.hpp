// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/arithmetic.hpp" // compensated_sum
#include "image.hpp"             // image_view, its checks

#include <cmath>       // std::log, std::sqrt, std::cos
#include <cstdint>     // std::uint64_t
#include <type_traits> // std::type_identity_t

namespace car::inline v0 {

/// What is put in the actor's place. The fill is a method, not a detail: a black silhouette leaks the actor's shape.
struct constant_fill {
    double value = 0;
};

/// The mean of the image's channel, over all its pixels.
struct mean_fill {};

/// Another image: one for all, or one for each.
template <class T>
struct background_fill {
    image_view<const T> images;
};
template <class T>
background_fill(image_view<T>) -> background_fill<std::remove_const_t<T>>;

/// Normal noise. A pixel's value depends on the seed and its index (n, channel, y, x) alone: no split, order or layout shows.
struct noise_fill {
    std::uint64_t seed = 0;
    double mean = 0;
    double deviation = 1;
};

namespace detail {

/// A bijection that spreads every bit over all others (SplitMix64's finisher).
inline std::uint64_t mix(std::uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

/// A standard normal number for a counter, by Box and Muller's transform of two hashes.
inline double normal_noise(std::uint64_t seed, std::uint64_t counter) {
    const std::uint64_t state = mix(seed + 0x9e3779b97f4a7c15u) ^ mix(counter + 0xd1b54a32d192ed03u);
    const double radius = (static_cast<double>(mix(state) >> 11) + 1) * 0x1p-53; // in (0, 1]
    const double angle = static_cast<double>(mix(~state) >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(radius)) * std::cos(6.283185307179586 * angle);
}

template <class T>
double channel_mean(const image_view<const T>& images, std::ptrdiff_t n, std::ptrdiff_t channel) {
    compensated_sum sum;
    for (std::ptrdiff_t y = 0; y != images.height; ++y)
        for (std::ptrdiff_t x = 0; x != images.width; ++x) sum.add(static_cast<double>(images(n, channel, y, x)));
    return sum.value() / (static_cast<double>(images.height) * static_cast<double>(images.width));
}

/// What `erase` and its gradient check alike.
template <class T>
void check_erase(const image_checker& check, const char* name, const image_view<const T>& images, const image_view<const T>& masks,
                 const char* out_name, const image_view<T>& out) {
    check.readable(name, images);
    check.shape("masks", masks, images.count, masks.channels == images.channels ? images.channels : 1, images.height, images.width);
    check.shape(out_name, out, images.count, images.channels, images.height, images.width);
    check.distinct(out_name, out);
    check.separate(out_name, out, name, images, true);
    check.separate(out_name, out, "masks", masks, false);
}

template <class T>
void check_fill(const image_checker& check, const image_view<const T>& images, const background_fill<T>& fill, const image_view<T>& out) {
    check.shape("background", fill.images, fill.images.count == 1 ? 1 : images.count, images.channels, images.height, images.width);
    check.separate("out", out, "background", fill.images, false);
}
template <class T>
void check_fill(const image_checker& check, const image_view<const T>&, const constant_fill& fill, const image_view<T>&) {
    check.finite("fill.value", fill.value);
}
template <class T>
void check_fill(const image_checker& check, const image_view<const T>&, const noise_fill& fill, const image_view<T>&) {
    check.finite("fill.mean", fill.mean);
    check.finite("fill.deviation", fill.deviation);
}
template <class T>
void check_fill(const image_checker&, const image_view<const T>&, const mean_fill&, const image_view<T>&) {}

/// What a channel of an image is filled with, as a function of the pixel.
template <class T>
auto filler(const image_view<const T>&, const constant_fill& fill, std::ptrdiff_t, std::ptrdiff_t) {
    return [value = fill.value](std::ptrdiff_t, std::ptrdiff_t) { return value; };
}
template <class T>
auto filler(const image_view<const T>& images, const mean_fill&, std::ptrdiff_t n, std::ptrdiff_t channel) {
    return [value = channel_mean(images, n, channel)](std::ptrdiff_t, std::ptrdiff_t) { return value; };
}
template <class T>
auto filler(const image_view<const T>&, const background_fill<T>& fill, std::ptrdiff_t n, std::ptrdiff_t channel) {
    return [&fill, n = fill.images.count == 1 ? 0 : n, channel](std::ptrdiff_t y, std::ptrdiff_t x) {
        return static_cast<double>(fill.images(n, channel, y, x));
    };
}
template <class T>
auto filler(const image_view<const T>& images, const noise_fill& fill, std::ptrdiff_t n, std::ptrdiff_t channel) {
    const std::ptrdiff_t plane = (n * images.channels + channel) * images.height;
    return [fill, plane, width = images.width](std::ptrdiff_t y, std::ptrdiff_t x) {
        return fill.mean + fill.deviation * normal_noise(fill.seed, static_cast<std::uint64_t>((plane + y) * width + x));
    };
}

} // namespace detail

/// The counterfactual image: the actor is erased, everything else is kept.
///
///     out = (1 - mask) image + mask fill
///
/// Shapes    images, out: N x channels x height x width, any strides; out may be images itself. masks: N images of 1 channel, for
///           all channels, or of as many; 1 erases, 0 keeps, between them the two are blended. A background: 1 or N images.
/// Requires  shapes that agree, outputs that overlap nothing else, a finite fill; else throws std::invalid_argument, nothing written.
/// Numerics  double inside, rounded once. Where the mask is 0 the pixel is unchanged to the bit; where it is 1 the pixel is not
///           read, but for its part in a mean.
/// Cost      each input read once, twice for the mean; allocates nothing.
/// Source    OccludeNet, section 4.2: segmentation and feature erasure.
template <class T, class Fill>
void erase(image_view<T> images, std::type_identity_t<image_view<const std::remove_const_t<T>>> masks, const Fill& fill,
           std::type_identity_t<image_view<std::remove_const_t<T>>> out) {
    using Value = std::remove_const_t<T>;
    const image_view<const Value> source = images;
    const detail::image_checker check("erase");
    detail::check_erase<Value>(check, "images", source, masks, "out", out);
    detail::check_fill<Value>(check, source, fill, out);
    for (std::ptrdiff_t n = 0; n != source.count; ++n)
        for (std::ptrdiff_t channel = 0; channel != source.channels; ++channel) {
            const auto value = detail::filler<Value>(source, fill, n, channel);
            for (std::ptrdiff_t y = 0; y != source.height; ++y)
                for (std::ptrdiff_t x = 0; x != source.width; ++x) {
                    const auto mask = static_cast<double>(masks(n, masks.channels == 1 ? 0 : channel, y, x));
                    if (mask == 0) {
                        out(n, channel, y, x) = source(n, channel, y, x);
                    } else {
                        const double kept = mask == 1 ? 0 : (1 - mask) * static_cast<double>(source(n, channel, y, x));
                        out(n, channel, y, x) = static_cast<Value>(kept + mask * value(y, x));
                    }
                }
        }
}

/// Vector-Jacobian product of `erase` to its images.
///
///     grad_images = (1 - mask) g,   with mean_fill plus sum(mask g) / pixels of the channel
///
/// Shapes    upstream (g), grad_images: as images; grad_images may be upstream itself.
/// Requires  as erase.
/// Numerics  double inside, rounded once.
/// Cost      upstream and masks read once, twice for the mean; allocates nothing.
/// Source    the derivative of erase.
template <class T, class Fill>
void erase_vjp(image_view<T> upstream, std::type_identity_t<image_view<const std::remove_const_t<T>>> masks, const Fill&,
               std::type_identity_t<image_view<std::remove_const_t<T>>> grad_images) {
    using Value = std::remove_const_t<T>;
    const image_view<const Value> g = upstream;
    detail::check_erase<Value>(detail::image_checker("erase_vjp"), "upstream", g, masks, "grad_images", grad_images);
    for (std::ptrdiff_t n = 0; n != g.count; ++n)
        for (std::ptrdiff_t channel = 0; channel != g.channels; ++channel) {
            const auto mask = [&, plane = masks.channels == 1 ? 0 : channel](std::ptrdiff_t y, std::ptrdiff_t x) {
                return static_cast<double>(masks(n, plane, y, x));
            };
            double through_mean = 0;
            if constexpr (std::is_same_v<Fill, mean_fill>) {
                detail::compensated_sum sum;
                for (std::ptrdiff_t y = 0; y != g.height; ++y)
                    for (std::ptrdiff_t x = 0; x != g.width; ++x) sum.add(mask(y, x) * static_cast<double>(g(n, channel, y, x)));
                through_mean = sum.value() / (static_cast<double>(g.height) * static_cast<double>(g.width));
            }
            for (std::ptrdiff_t y = 0; y != g.height; ++y)
                for (std::ptrdiff_t x = 0; x != g.width; ++x)
                    grad_images(n, channel, y, x) =
                        static_cast<Value>((1 - mask(y, x)) * static_cast<double>(g(n, channel, y, x)) + through_mean);
        }
}

} // namespace car::inline v0
