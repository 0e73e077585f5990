// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"              // policies
#include "detail/check_softmax.hpp" // shapes, overlaps
#include "kernel/softmax.hpp"       // the backends' kernels
#include "options.hpp"              // softmax_options

namespace car::inline CAR_ABI {

/// Softmax of each row.
///
///     y[i,j] = exp(p[i,j] - m[i]) / sum_k exp(p[i,k] - m[i]),   m[i] = max_k p[i,k]
///
/// Shapes    p, y: N x C, any strides; y may be p itself.
/// Requires  p and y of one shape, C >= 1, temperature > 0; else throws std::invalid_argument, nothing written.
/// Numerics  relative error at most 4u where y is normal; a NaN or +inf makes its row NaN, as does a row of -inf; p = -inf gives 0.
/// Cost      three passes over a row, which is read from memory once where it fits in cache; y written once; allocates nothing.
/// Source    OccludeNet, Eq. 2.
template <backend Backend, matrix P>
void softmax(const Backend& on, const P& p, matrix_view<scalar_of<const P>> y, const softmax_options& options = {}) {
    const matrix_view<const scalar_of<const P>> logits = view(p);
    detail::check_softmax(detail::checker("softmax"), logits, y, options);
    kernel::softmax(on, logits, y, 1 / options.temperature);
}

template <matrix P>
void softmax(const P& p, matrix_view<scalar_of<const P>> y, const softmax_options& options = {}) {
    softmax(default_backend, p, y, options);
}

/// Logarithm of the softmax of each row.
///
///     y[i,j] = p[i,j] - log sum_k exp(p[i,k])
///
/// Shapes    as softmax.
/// Requires  as softmax.
/// Numerics  relative error at most 4u, in a sure row too; otherwise as softmax, p = -inf gives -inf.
/// Cost      as softmax.
/// Source    OccludeNet, Eq. 2.
template <backend Backend, matrix P>
void log_softmax(const Backend& on, const P& p, matrix_view<scalar_of<const P>> y, const softmax_options& options = {}) {
    const matrix_view<const scalar_of<const P>> logits = view(p);
    detail::check_softmax(detail::checker("log_softmax"), logits, y, options);
    kernel::log_softmax(on, logits, y, 1 / options.temperature);
}

template <matrix P>
void log_softmax(const P& p, matrix_view<scalar_of<const P>> y, const softmax_options& options = {}) {
    log_softmax(default_backend, p, y, options);
}

/// Logarithm of the sum of exponentials of each row.
///
///     y[i] = log sum_k exp(p[i,k])
///
/// Shapes    p: N x C, any strides. y: N.
/// Requires  shapes that agree, C >= 1, temperature > 0, y apart from p; else throws std::invalid_argument, nothing written.
/// Numerics  error at most 4u (|max| + |y|); a NaN gives NaN, +inf gives +inf, a row of -inf gives -inf.
/// Cost      two passes over a row, which is read from memory once where it fits in cache; allocates nothing.
template <backend Backend, matrix P>
void log_sum_exp(const Backend& on, const P& p, vector_view<term_of<scalar_of<const P>>> y, const softmax_options& options = {}) {
    const matrix_view<const scalar_of<const P>> logits = view(p);
    detail::check_softmax(detail::checker("log_sum_exp"), logits, y, options);
    kernel::log_sum_exp(on, logits, y, 1 / options.temperature);
}

template <matrix P>
void log_sum_exp(const P& p, vector_view<term_of<scalar_of<const P>>> y, const softmax_options& options = {}) {
    log_sum_exp(default_backend, p, y, options);
}

} // namespace car::inline CAR_ABI
