// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/arithmetic.hpp" // compensated_sum
#include "../detail/check.hpp"      // shapes, overlaps
#include "../detail/length.hpp"     // of features and weights
#include "../float_types.hpp"       // logit

#include <algorithm> // std::fill
#include <vector>    // the norms of the weights

namespace car::inline CAR_ABI {

struct deconfounded_options {
    std::int64_t heads = 2; ///< K: the features are split into as many parts
    double scale = 16;      ///< tau
    double gamma = 1. / 32; ///< added to the norms of the weights
    double strength = 0;    ///< of the direct effect that is taken away, a: 0 in training; 3 in the published program at test
};

/// Where the gradients of deconfounded go; either may be left out.
template <class T>
struct deconfounded_gradients {
    matrix_view<T> grad_x = {}; ///< N x D
    matrix_view<T> grad_w = {}; ///< C x D
};

namespace detail {

/// One head of deconfounded: part h of every vector is its columns from h width to (h + 1) width.
template <class T>
class deconfounded_call {
    checker check_;
    matrix_view<const T> x_, w_;
    vector_view<const T> direction_;
    const deconfounded_options& options_;
    std::ptrdiff_t width_ = 0;

  public:
    deconfounded_call(const char* op, const matrix_view<const T>& x, const matrix_view<const T>& w, const vector_view<const T>& direction,
                      const deconfounded_options& options)
        : check_(op), x_(x), w_(w), direction_(direction), options_(options) {
        check_.readable(footprint_of("x", x));
        check_.shape(footprint_of("w", w), w.rows, x.cols);
        check_.require(w.rows >= 1, "w has no row, expected one for each class");
        if (options.strength != 0 || direction) check_.shape(footprint_of("direction", direction), x.cols, 1);
        if (options.heads < 1 || x.cols % options.heads != 0)
            check_.fail("heads is " + std::to_string(options.heads) + ", expected a divisor of the " + std::to_string(x.cols) +
                        " columns of x");
        check_.finite("scale", options.scale);
        check_.finite("gamma", options.gamma);
        check_.finite("strength", options.strength);
        width_ = x.cols / options.heads;
    }
    const checker& check() const { return check_; }
    std::ptrdiff_t width() const { return width_; }
    std::ptrdiff_t heads() const { return static_cast<std::ptrdiff_t>(options_.heads); }
    double scale() const { return options_.scale / static_cast<double>(options_.heads); }

    /// The product of a vector's part and what is at each column.
    template <class A, class At>
    double dot(std::ptrdiff_t head, const A& a, At at) const {
        compensated_sum sum;
        for (std::ptrdiff_t j = head * width_; j != (head + 1) * width_; ++j) sum.add(static_cast<double>(a[j]) * at(j));
        return sum.value();
    }
    length length_of(std::ptrdiff_t head, const vector_view<const T>& v) const {
        return {head * width_, (head + 1) * width_, [&](std::ptrdiff_t j) { return static_cast<double>(v[j]); }};
    }
    /// 1 / (|w| + gamma), class after class, the heads of each together.
    std::vector<double> shrinks() const {
        std::vector<double> all;
        for (std::ptrdiff_t c = 0; c != w_.rows; ++c)
            for (std::ptrdiff_t head = 0; head != heads(); ++head) all.push_back(1 / (length_of(head, w_.row(c)).value() + options_.gamma));
        return all;
    }

    /// x / |x| - strength cos(x, d) d / |d|, column by column.
    template <class Visit>
    void kept(std::ptrdiff_t i, std::ptrdiff_t head, Visit visit) const {
        const std::ptrdiff_t begin = head * width_, end = begin + width_;
        const length of_x = length_of(head, x_.row(i));
        const auto unit = [&](std::ptrdiff_t j) { return of_x.share(static_cast<double>(x_(i, j))); };
        if (options_.strength == 0) {
            for (std::ptrdiff_t j = begin; j != end; ++j) visit(j, unit(j));
            return;
        }
        const length of_direction = length_of(head, direction_);
        const auto ahead = [&](std::ptrdiff_t j) { return of_direction.share(static_cast<double>(direction_[j])); };
        compensated_sum cosine;
        for (std::ptrdiff_t j = begin; j != end; ++j) cosine.add(unit(j) * ahead(j));
        for (std::ptrdiff_t j = begin; j != end; ++j) visit(j, unit(j) - options_.strength * cosine.value() * ahead(j));
    }
};

} // namespace detail

/// De-confounded classifier of long-tailed data: multi-head normalised weights, and at test the direct effect of a feature's component
/// along the direction in which momentum has carried all features, taken away.
///
///     y[i,c] = (scale / K) sum_h w[c]^h . (x[i]^h / |x[i]^h| - strength cos(x[i]^h, d^h) d^h / |d^h|) / (|w[c]^h| + gamma)
///
/// Shapes    x: N x D features. w: C x D. direction (d): D, may be an empty view with strength 0. y: N x C.
/// Requires  shapes that agree, D, C >= 1, heads a divisor of D, finite options, y apart from the inputs; else throws
///           std::invalid_argument, nothing written.
/// Numerics  within 16u of (scale / K) sum_h sum_j |w_j| (|x_j| / |x| + |strength d_j| / |d|) / (|w| + gamma), u = 2^-53, and one rounding.
///           A part of x, or of d where it is read, that is 0 gives NaN in its row; a NaN in x its row, in w its class.
/// Cost      N C D multiplications and additions; allocates D + C K numbers.
/// Source    Tang et al. 2020, Long-Tailed Classification by Keeping the Good and Removing the Bad Momentum Causal Effect.
template <matrix X>
    requires logit<scalar_of<const X>>
void deconfounded(const X& x, input<scalar_of<const X>> w, matrix_view<scalar_of<const X>> y, const deconfounded_options& options = {},
                  vector_view<const std::type_identity_t<scalar_of<const X>>> direction = {}) {
    using T = scalar_of<const X>;
    const matrix_view<const T> features = view(x);
    const detail::deconfounded_call<T> call("deconfounded", features, w, direction, options);
    call.check().shape(detail::footprint_of("y", y), features.rows, w.rows);
    call.check().separate({{detail::footprint_of("y", y)}}, {detail::footprint_of("x", features), detail::footprint_of("w", w),
                                                             detail::footprint_of("direction", direction)});
    std::vector<double> row(static_cast<std::size_t>(features.cols));
    const std::vector<double> shrink = call.shrinks();
    for (std::ptrdiff_t i = 0; i != features.rows; ++i) {
        for (std::ptrdiff_t head = 0; head != call.heads(); ++head)
            call.kept(i, head, [&](std::ptrdiff_t j, double value) { row[static_cast<std::size_t>(j)] = value; });
        const vector_view<const double> kept(row);
        for (std::ptrdiff_t c = 0; c != w.rows; ++c) {
            double sum = 0;
            for (std::ptrdiff_t head = 0; head != call.heads(); ++head)
                sum += call.dot(head, w.row(c), [&](std::ptrdiff_t j) { return kept[j]; }) *
                       shrink[static_cast<std::size_t>(c * call.heads() + head)];
            y(i, c) = static_cast<T>(call.scale() * sum);
        }
    }
}

/// Vector-Jacobian product of deconfounded with strength 0, as it is trained.
///
///     grad_x[i]^h = (scale/K) (s - (s . u) u) / |x[i]^h|,   u = x[i]^h / |x[i]^h|,   s = sum_c g[i,c] w[c]^h / (|w[c]^h| + gamma)
///     grad_w[c]^h = (scale/K) (t - (t . w[c]^h) w[c]^h / (|w[c]^h| (|w[c]^h| + gamma))) / (|w[c]^h| + gamma),   t = sum_i g[i,c] u
///
/// Shapes    x, grad_x: N x D. w, grad_w: C x D. upstream (g): N x C.
/// Requires  as deconfounded; strength 0; gradients apart from the inputs and each other.
/// Numerics  within 32u (grad_w: 32 + N) of the sum of the magnitudes of the terms, s and t with those of their own, and one rounding. A
///           part of w that is 0 has the slope of gamma alone.
/// Cost      2 N C D multiplications and additions; allocates D + C K numbers.
template <matrix X>
    requires logit<scalar_of<const X>>
void deconfounded_vjp(const X& x, input<scalar_of<const X>> w, input<scalar_of<const X>> upstream,
                      const deconfounded_gradients<scalar_of<const X>>& gradients, const deconfounded_options& options = {}) {
    using T = scalar_of<const X>;
    const matrix_view<const T> features = view(x);
    detail::checker("deconfounded_vjp")
        .require(options.strength == 0, "strength is not 0, expected 0: the classifier is trained without it");
    const detail::deconfounded_call<T> call("deconfounded_vjp", features, w, {}, options);
    const auto grad_x = detail::footprint_of("grad_x", gradients.grad_x), grad_w = detail::footprint_of("grad_w", gradients.grad_w);
    call.check().shape(detail::footprint_of("upstream", upstream), features.rows, w.rows);
    if (gradients.grad_x) call.check().shape(grad_x, features.rows, features.cols);
    if (gradients.grad_w) call.check().shape(grad_w, w.rows, features.cols);
    call.check().separate({{grad_x}, {grad_w}},
                          {detail::footprint_of("x", features), detail::footprint_of("w", w), detail::footprint_of("upstream", upstream)});
    std::vector<double> sums(static_cast<std::size_t>(features.cols));
    const std::vector<double> shrink = call.shrinks();
    const vector_view<const double> total(sums);

    for (std::ptrdiff_t i = 0; i != features.rows && gradients.grad_x; ++i)
        for (std::ptrdiff_t head = 0; head != call.heads(); ++head) {
            for (std::ptrdiff_t j = head * call.width(); j != (head + 1) * call.width(); ++j) {
                detail::compensated_sum sum;
                for (std::ptrdiff_t c = 0; c != w.rows; ++c)
                    sum.add(static_cast<double>(upstream(i, c)) *
                            (static_cast<double>(w(c, j)) * shrink[static_cast<std::size_t>(c * call.heads() + head)]));
                sums[static_cast<std::size_t>(j)] = sum.value();
            }
            const detail::length of_x = call.length_of(head, features.row(i));
            const auto unit = [&](std::ptrdiff_t j) { return of_x.share(static_cast<double>(features(i, j))); };
            const double along = call.dot(head, total, unit);
            for (std::ptrdiff_t j = head * call.width(); j != (head + 1) * call.width(); ++j)
                gradients.grad_x(i, j) = static_cast<T>(of_x.share(call.scale() * (total[j] - along * unit(j))));
        }
    for (std::ptrdiff_t c = 0; c != w.rows && gradients.grad_w; ++c)
        for (std::ptrdiff_t head = 0; head != call.heads(); ++head) {
            std::fill(sums.begin(), sums.end(), 0.0);
            for (std::ptrdiff_t i = 0; i != features.rows; ++i)
                call.kept(i, head, [&](std::ptrdiff_t j, double unit) {
                    sums[static_cast<std::size_t>(j)] += static_cast<double>(upstream(i, c)) * unit;
                });
            const detail::length of_w = call.length_of(head, w.row(c));
            const auto unit = [&](std::ptrdiff_t j) { return of_w.is_zero() ? 0 : of_w.share(static_cast<double>(w(c, j))); };
            const double less = shrink[static_cast<std::size_t>(c * call.heads() + head)], along = call.dot(head, total, unit);
            for (std::ptrdiff_t j = head * call.width(); j != (head + 1) * call.width(); ++j)
                gradients.grad_w(c, j) = static_cast<T>(call.scale() * less * (total[j] - along * unit(j) * (of_w.value() * less)));
        }
}

} // namespace car::inline CAR_ABI
