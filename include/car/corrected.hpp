// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"              // policies
#include "detail/check_softmax.hpp" // shapes, overlaps
#include "kernel/corrected.hpp"     // the backends' kernels
#include "options.hpp"              // corrected_options

namespace car::inline CAR_ABI {

/// Softmax of each row of `p - strength*c`, the corrected prediction.
///
///     y[i,j] = exp(d[i,j] - m[i]) / sum_k exp(d[i,k] - m[i]),   d = (p - strength*c) / temperature,   m[i] = max_k d[i,k]
///
/// Shapes    p, c, y: N x C, any strides; y may be p or c itself.
/// Requires  p, c and y of one shape, C >= 1, strength finite, temperature > 0; else throws std::invalid_argument, nothing written.
/// Numerics  relative error at most 4u where y is normal; a NaN makes its row NaN; d = -inf gives 0; p = -inf gives 0 whatever c is.
/// Cost      three passes over a row, which is read from memory once where it fits in cache; y written once; allocates nothing.
/// Source    OccludeNet, Eq. 3.
template <backend Backend, matrix P>
void corrected_softmax(const Backend& on, const P& p, input<scalar_of<const P>> c, matrix_view<scalar_of<const P>> y,
                       const corrected_options& options = {}) {
    const matrix_view<const scalar_of<const P>> factual = view(p);
    const detail::checker check("corrected_softmax");
    const auto out = detail::footprint_of("y", y), left = detail::footprint_of("p", factual), right = detail::footprint_of("c", c);
    detail::check_corrected(check, left, right, {}, options);
    check.shape(out, factual.rows, factual.cols);
    check.separate({detail::in_place_of_either(out, left, right)}, {left, right});
    kernel::corrected_softmax(on, factual, c, y, 1 / options.temperature, options.strength);
}

template <matrix P>
void corrected_softmax(const P& p, input<scalar_of<const P>> c, matrix_view<scalar_of<const P>> y, const corrected_options& options = {}) {
    corrected_softmax(default_backend, p, c, y, options);
}

/// Where the vector-Jacobian product goes; either may be left out.
template <class T>
struct corrected_gradients {
    matrix_view<T> grad_p = {};
    matrix_view<T> grad_c = {};
};

/// Vector-Jacobian product of corrected_softmax, from its output.
///
///     grad_p[i,j] = y[i,j] (g[i,j] - sum_k g[i,k] y[i,k]) / temperature,   grad_c = -strength grad_p
///
/// Shapes    y, upstream (g), grad_p, grad_c: N x C, any strides; one of the gradients may be y or upstream itself.
/// Requires  one shape, C >= 1, strength finite, temperature > 0, outputs apart; else throws std::invalid_argument, nothing written.
/// Numerics  error at most 4u of y (|g| + sum_k |g| y) / temperature, times |strength| for grad_c, beside what y itself has lost; of
///           double 9u, which the mean of g, 4 roundings, is in as well; where y is 0 the gradient is 0 whatever g is.
/// Cost      two passes over a row, which is read from memory once where it fits in cache; allocates nothing.
/// Source    OccludeNet, Eq. 3.
template <backend Backend, matrix Y>
void corrected_softmax_vjp(const Backend& on, const Y& y, input<scalar_of<const Y>> upstream,
                           const corrected_gradients<scalar_of<const Y>>& gradients, const corrected_options& options = {}) {
    const matrix_view<const scalar_of<const Y>> prediction = view(y);
    const detail::checker check("corrected_softmax_vjp");
    const auto left = detail::footprint_of("y", prediction), right = detail::footprint_of("upstream", upstream);
    const auto p = detail::footprint_of("grad_p", gradients.grad_p), c = detail::footprint_of("grad_c", gradients.grad_c);
    detail::check_corrected(check, left, right, {p, c}, options);
    check.separate({detail::in_place_of_either(p, right, left), detail::in_place_of_either(c, right, left)}, {left, right});
    kernel::corrected_softmax_vjp(on, prediction, upstream, gradients.grad_p, gradients.grad_c, 1 / options.temperature, options.strength);
}

template <matrix Y>
void corrected_softmax_vjp(const Y& y, input<scalar_of<const Y>> upstream, const corrected_gradients<scalar_of<const Y>>& gradients,
                           const corrected_options& options = {}) {
    corrected_softmax_vjp(default_backend, y, upstream, gradients, options);
}

} // namespace car::inline CAR_ABI
