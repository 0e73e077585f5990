// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/arithmetic.hpp" // compensated_sum
#include "image.hpp"             // image_view, its checks

#include <algorithm>   // std::min, std::max
#include <cmath>       // std::floor, std::ceil, std::isfinite
#include <limits>      // NaN
#include <optional>    // the last frame, if it is not the clip's
#include <span>        // the boxes
#include <string>      // messages
#include <type_traits> // std::type_identity_t

namespace car::inline CAR_ABI {

/// An actor's bounding box: its top left corner and its size, in pixels. Without width or height there is no actor in the frame.
struct box {
    double x = 0, y = 0, width = 0, height = 0;

    constexpr bool empty() const { return !(width > 0 && height > 0); }
};

struct occlusion_options {
    double scale = 0.5;                            ///< of the occluder's size to the box's: the paper's 0.25, 0.50, 0.75
    double alpha = 1;                              ///< opacity, times the occluder's own
    std::ptrdiff_t first_frame = 0;                ///< the frames occluded: [first_frame, last_frame)
    std::optional<std::ptrdiff_t> last_frame = {}; ///< the clip's end where not given
};

/// The paper's three factors; NaN where no frame has an actor, or none is occluded.
struct occlusion_factors {
    double degree = 0;         ///< size of what covers over the box's size, the larger of width and height: mean over occluded frames
    double area_ratio = 0;     ///< share of the box's area in the frame that is covered: mean over occluded frames
    double duration_ratio = 0; ///< share of the frames with an actor in which it is occluded
};

namespace detail {

/// The length that two intervals share.
inline double shared_length(double a, double b, double c, double d) { return std::max(0.0, std::min(b, d) - std::max(a, c)); }

/// Where an occluder lies in a frame: its centre on the box's, as large as its aspect allows in `scale` times the box.
struct placement {
    double x = 0, y = 0, factor = 0; // frame = centre + factor * (occluder - its centre)

    placement(const box& actor, double scale, double width, double height)
        : x(actor.x + actor.width / 2), y(actor.y + actor.height / 2),
          factor(scale * std::min(actor.width / width, actor.height / height)) {}
};

/// One side of a pixel of the frame, in the occluder's pixels, of which there are `size`. Under a vast occluder it has no length left:
/// then it is a point. Of an occluder without size it sees a share of 0.
class pixel_side {
    double from_, to_, size_;

  public:
    pixel_side(double pixel, double centre, double factor, std::ptrdiff_t size)
        : from_((pixel - centre) / factor + static_cast<double>(size) / 2),
          to_((pixel + 1 - centre) / factor + static_cast<double>(size) / 2), size_(static_cast<double>(size)) {}

    bool meets() const { return to_ > 0 && from_ < size_; }
    std::ptrdiff_t first() const { return static_cast<std::ptrdiff_t>(std::max(std::floor(from_), 0.0)); }
    std::ptrdiff_t last() const { return static_cast<std::ptrdiff_t>(std::min(std::max(std::ceil(to_), std::floor(from_) + 1), size_)); }
    double share(std::ptrdiff_t of) const {
        return from_ < to_ ? shared_length(from_, to_, static_cast<double>(of), static_cast<double>(of + 1)) / (to_ - from_) : 1;
    }
};

/// The occluder seen through one pixel of the frame: the mean over the pixel's area, exact for an occluder that is constant in each of
/// its own pixels. Colours are weighted with opacity, so that a transparent border does not darken the edge.
class pixel_sample {
    pixel_side across_, down_;

  public:
    pixel_sample(const placement& place, double x, double y, std::ptrdiff_t width, std::ptrdiff_t height)
        : across_(x, place.x, place.factor, width), down_(y, place.y, place.factor, height) {}

    template <class Value>
    double mean(Value value) const {
        double sum = 0;
        if (!across_.meets() || !down_.meets()) return 0;
        for (std::ptrdiff_t y = down_.first(); y < down_.last(); ++y)
            for (std::ptrdiff_t x = across_.first(); x < across_.last(); ++x) sum += down_.share(y) * across_.share(x) * value(y, x);
        return sum;
    }
};

inline void check_boxes(const checker& check, std::span<const box> boxes, std::ptrdiff_t frames) {
    if (static_cast<std::ptrdiff_t>(boxes.size()) != frames)
        check.fail("boxes has size " + std::to_string(boxes.size()) + ", expected " + std::to_string(frames) + ", one for each frame");
    for (std::size_t n = 0; n != boxes.size(); ++n) {
        const box& b = boxes[n];
        if (!(std::isfinite(b.x) && std::isfinite(b.y) && std::isfinite(b.x + b.width) && std::isfinite(b.y + b.height)))
            check.fail("box of frame " + std::to_string(n) + " is not finite");
    }
}

} // namespace detail

/// Tracked occlusion: an occluder at the centre of the actor's box, in every frame of a clip.
///
///     a = alpha * opacity of the occluder, resized to `scale` times the box,   out = (1 - a) frame + a occluder
///
/// The occluder keeps its aspect: it is the largest that fits `scale` times the box's width and height. A pixel of the frame sees the
/// mean of what the occluder shows over its area.
///
/// Shapes    frames, out: N x channels x height x width, any strides; out may be frames itself. boxes: N. occluder: 1 x channels x
///           any size; opacity: 1 x 1 x the same size, in [0, 1]. coverage: N x 1 x height x width, optional: a.
/// Requires  shapes that agree, finite boxes, scale > 0, alpha in [0, 1], 0 <= first_frame <= last_frame <= N, outputs that overlap
///           nothing else; else throws std::invalid_argument, nothing written.
/// Numerics  double inside, rounded once. Where a is 0 the pixel is unchanged to the bit.
/// Cost      each pixel read and written once, and the occluder's once for every frame; allocates nothing.
/// Source    OccludeNet, section 3.1 and Figure 3.
template <class T>
void occlude(image_view<T> frames, std::span<const box> boxes, std::type_identity_t<image_view<const std::remove_const_t<T>>> occluder,
             std::type_identity_t<image_view<const std::remove_const_t<T>>> opacity, const occlusion_options& options,
             std::type_identity_t<image_view<std::remove_const_t<T>>> out,
             std::type_identity_t<image_view<std::remove_const_t<T>>> coverage = {}) {
    using Value = std::remove_const_t<T>;
    const image_view<const Value> source = frames;
    const detail::image_checker check("occlude");
    check.readable("frames", source);
    check.shape("out", out, source.count, source.channels, source.height, source.width);
    check.readable("occluder", occluder);
    check.shape("occluder", occluder, 1, source.channels, occluder.height, occluder.width);
    check.shape("opacity", opacity, 1, 1, occluder.height, occluder.width);
    if (coverage) check.shape("coverage", coverage, source.count, 1, source.height, source.width);
    detail::check_boxes(check, boxes, source.count);
    check.positive("scale", options.scale);
    check.require(options.alpha >= 0 && options.alpha <= 1, "alpha is outside [0, 1]");
    const std::ptrdiff_t last_frame = options.last_frame.value_or(source.count);
    check.require(options.first_frame >= 0 && options.first_frame <= last_frame && last_frame <= source.count,
                  "first_frame and last_frame are not a range of the clip's frames");
    check.distinct("out", out);
    check.separate("out", out, "frames", source, true);
    check.separate("out", out, "occluder", occluder, false);
    check.separate("out", out, "opacity", opacity, false);
    if (coverage) {
        check.distinct("coverage", coverage);
        check.separate("coverage", coverage, "frames", source, false);
        check.separate("coverage", coverage, "out", out, false);
        check.separate("coverage", coverage, "occluder", occluder, false);
        check.separate("coverage", coverage, "opacity", opacity, false);
    }

    for (std::ptrdiff_t n = 0; n != source.count; ++n) {
        const box& actor = boxes[static_cast<std::size_t>(n)];
        const bool occluded = n >= options.first_frame && n < last_frame && !actor.empty();
        const detail::placement place(occluded ? actor : box{0, 0, 1, 1}, options.scale, static_cast<double>(occluder.width),
                                      static_cast<double>(occluder.height));
        for (std::ptrdiff_t y = 0; y != source.height; ++y)
            for (std::ptrdiff_t x = 0; x != source.width; ++x) {
                const detail::pixel_sample pixel(place, static_cast<double>(x), static_cast<double>(y), occluder.width, occluder.height);
                const auto seen = [&](auto value) { return options.alpha * pixel.mean(value); };
                const auto opaque = [&](std::ptrdiff_t v, std::ptrdiff_t u) { return static_cast<double>(opacity(0, 0, v, u)); };
                const double a = occluded ? std::min(seen(opaque), 1.0) : 0; // shares may add up to 1 + u
                if (coverage) coverage(n, 0, y, x) = static_cast<Value>(a);
                for (std::ptrdiff_t channel = 0; channel != source.channels; ++channel) {
                    Value& pixel_out = out(n, channel, y, x);
                    if (a == 0) {
                        pixel_out = source(n, channel, y, x);
                        continue;
                    }
                    const double colour = seen(
                        [&](std::ptrdiff_t v, std::ptrdiff_t u) { return opaque(v, u) * static_cast<double>(occluder(0, channel, v, u)); });
                    pixel_out = static_cast<Value>((1 - a) * static_cast<double>(source(n, channel, y, x)) + colour);
                }
            }
    }
}

/// Occlusion degree, area ratio and duration ratio of a clip, from what covers it: `coverage` of car::occlude or any other mask.
///
/// A frame is occluded where any of its actor's box is covered. The degree is that of the box around the covered pixels; of an
/// occluder that car::occlude has placed it is `scale`, to within the pixel on each side that it touches.
///
/// Shapes    coverage: N x 1 x height x width, in [0, 1]. boxes: N.
/// Requires  shapes that agree, finite boxes; else throws std::invalid_argument.
/// Numerics  areas are exact for pixels that the box cuts. NaN: see occlusion_factors.
/// Cost      coverage read once; allocates nothing.
/// Source    OccludeNet, section 3.3.
template <class T>
occlusion_factors occlusion_factors_of(image_view<T> coverage, std::span<const box> boxes) {
    const detail::image_checker check("occlusion_factors_of");
    check.readable("coverage", coverage);
    check.shape("coverage", coverage, coverage.count, 1, coverage.height, coverage.width);
    detail::check_boxes(check, boxes, coverage.count);

    detail::compensated_sum degrees, areas;
    double actors = 0, occluded = 0;
    for (std::ptrdiff_t n = 0; n != coverage.count; ++n) {
        const box& actor = boxes[static_cast<std::size_t>(n)];
        if (actor.empty()) continue;
        ++actors;
        double left = static_cast<double>(coverage.width), right = 0, top = static_cast<double>(coverage.height), bottom = 0;
        detail::compensated_sum covered;
        for (std::ptrdiff_t y = 0; y != coverage.height; ++y)
            for (std::ptrdiff_t x = 0; x != coverage.width; ++x) {
                const auto a = static_cast<double>(coverage(n, 0, y, x));
                if (!(a > 0)) continue;
                const auto x0 = static_cast<double>(x), y0 = static_cast<double>(y);
                left = std::min(left, x0);
                right = std::max(right, x0 + 1);
                top = std::min(top, y0);
                bottom = std::max(bottom, y0 + 1);
                covered.add(a * detail::shared_length(x0, x0 + 1, actor.x, actor.x + actor.width) *
                            detail::shared_length(y0, y0 + 1, actor.y, actor.y + actor.height));
            }
        if (!(covered.value() > 0)) continue;
        ++occluded;
        degrees.add(std::max((right - left) / actor.width, (bottom - top) / actor.height));
        areas.add(covered.value() / (detail::shared_length(0, static_cast<double>(coverage.width), actor.x, actor.x + actor.width) *
                                     detail::shared_length(0, static_cast<double>(coverage.height), actor.y, actor.y + actor.height)));
    }
    return {degrees.value() / occluded, areas.value() / occluded, occluded / actors}; // 0 / 0 is the NaN that is meant
}

} // namespace car::inline CAR_ABI
