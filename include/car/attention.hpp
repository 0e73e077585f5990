// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"       // policies
#include "detail/attend.hpp" // the attention of each sample, its checks

#include <cmath>    // std::sqrt
#include <optional> // a scale that is given

namespace car::inline CAR_ABI {

struct attention_options {
    std::ptrdiff_t batch = 1;         ///< B
    std::optional<double> scale = {}; ///< of the scores; if not given, 1 / sqrt(E)
    workspace* memory = nullptr;      ///< used again by every call that is given it
};

template <class T>
struct attention_gradients {
    matrix_view<T> grad_q = {}; ///< as q, and so on; what is not given is left out
    matrix_view<T> grad_k = {};
    matrix_view<T> grad_v = {};
    attention_projections<T> projections = {};
};

namespace detail {

/// Everything that is wrong with a call; y is written, or the slopes of upstream.
template <class T>
attention_call check_attention(const checker& check, const attention_arrays<const T, const term_of<T>>& in, passes wanted,
                               const matrix_view<T>& y, const matrix_view<const T>& upstream, const attention_arrays<T, term_of<T>>& to,
                               const attention_options& options) {
    check_batch(check, options.batch);
    sample_rows(check, "q", in.q, options.batch);
    const std::ptrdiff_t keys = sample_keys(check, "k", in.k, options.batch);
    check.shape(footprint_of("v", in.v), options.batch * keys, in.v.cols);
    const std::ptrdiff_t width = check_projections(check, "q", in.q, "k", in.k, in.by);
    check_output(check, wanted, y, upstream, in.q.rows, projected_cols(check, "value", in.v, in.by.value));
    if (options.scale) check.finite("scale", *options.scale);
    check_gradient(check, "grad_q", to.q, in.q);
    check_gradient(check, "grad_k", to.k, in.k);
    check_gradient(check, "grad_v", to.v, in.v);
    check_gradients(check, to.by, in.by);
    check.separate({{footprint_of("y", y)},
                    {footprint_of("grad_q", to.q)},
                    {footprint_of("grad_k", to.k)},
                    {footprint_of("grad_v", to.v)},
                    {footprint_of("grad_query", to.by.query)},
                    {footprint_of("grad_key", to.by.key)},
                    {footprint_of("grad_value", to.by.value)}},
                   {footprint_of("q", in.q), footprint_of("k", in.k), footprint_of("v", in.v), footprint_of("query", in.by.query),
                    footprint_of("key", in.by.key), footprint_of("value", in.by.value), footprint_of("upstream", upstream)});
    return {options.batch, options.scale.value_or(1 / std::sqrt(static_cast<double>(width))), normalise::yes, options.memory};
}

} // namespace detail

/// Attention: what each query reads from the keys' values, weighed by its scores.
///
///     y = softmax(scale (q query) (k key)^T) (v value),   the softmax of each row
///
/// Causal attention is made of two. In-sample: batch = B, every query sees the keys of its own sample, P(Z | x). Cross-sample: batch = 1,
/// every query sees one global dictionary of other samples, which stands for the sum over x' P(x') of the front-door adjustment.
///
/// Shapes    q: (B L) x D, k: (B S) x D', v: (B S) x F', sample after sample; query: D x E, key: D' x E, value: F' x F. y: (B L) x F.
/// Requires  shapes that agree, S >= 1, B >= 1, scale finite, y apart from the inputs; else throws std::invalid_argument, nothing written.
/// Numerics  In double, rounded once. Without projections the error of y(i,j) is at most (2 (D + 4) M + S + 12) u sum_s |weight v|, u =
///           2^-53, M the largest sum_d |scale q k| of the row. Values that are not finite go where the formula takes them.
/// Cost      B L S (E + F) products, by car::eigen as Eigen makes them; allocates the weights, L x S, and what is projected, of one
///           sample, as double; and copies of inputs of any other type. Nothing of this, if a workspace has had the call before.
/// Source    Vaswani et al. 2017; Causal Attention (Yang et al. 2021).
template <backend Backend, matrix Q>
void attention(const Backend& on, const Q& q, input<scalar_of<const Q>> k, input<scalar_of<const Q>> v, matrix_view<scalar_of<const Q>> y,
               const attention_options& options = {}, const attention_projections<const scalar_of<const Q>>& by = {}) {
    using T = scalar_of<const Q>;
    const detail::attention_arrays<const T, const term_of<T>> in{view(q), k, v, by};
    const auto call = detail::check_attention<T>(detail::checker("attention"), in, detail::passes::forward, y, {}, {}, options);
    detail::attend<Backend, T>(on, call, in, detail::passes::forward, y, {}, {});
}

template <matrix Q>
void attention(const Q& q, input<scalar_of<const Q>> k, input<scalar_of<const Q>> v, matrix_view<scalar_of<const Q>> y,
               const attention_options& options = {}, const attention_projections<const scalar_of<const Q>>& by = {}) {
    attention(default_backend, q, k, v, y, options, by);
}

/// Vector-Jacobian product of attention: the slopes of sum upstream y.
///
///     with W the weights, g = upstream:   dV = W^T g,   dW = g V^T,   dS = W (dW - sum_s W dW),   dQ = scale dS K,   dK = scale dS^T Q
///     grad_q = dQ query^T,  grad_query = q^T dQ,  and so on;  those of a projection are summed over the samples
///
/// Shapes    as attention; upstream: as y.
/// Requires  as attention; gradients apart from each other and from the inputs.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element of each gradient, at scores up to 15 and 200 keys.
/// Cost      three times that of attention, and twice its memory.
/// Source    as attention.
template <backend Backend, matrix Q>
void attention_vjp(const Backend& on, const Q& q, input<scalar_of<const Q>> k, input<scalar_of<const Q>> v,
                   input<scalar_of<const Q>> upstream, const attention_gradients<scalar_of<const Q>>& gradients,
                   const attention_options& options = {}, const attention_projections<const scalar_of<const Q>>& by = {}) {
    using T = scalar_of<const Q>;
    const detail::attention_arrays<const T, const term_of<T>> in{view(q), k, v, by};
    const detail::attention_arrays<T, term_of<T>> to{gradients.grad_q, gradients.grad_k, gradients.grad_v, gradients.projections};
    const auto call = detail::check_attention<T>(detail::checker("attention_vjp"), in, detail::passes::both, {}, upstream, to, options);
    detail::attend<Backend, T>(on, call, in, detail::passes::both, {}, upstream, to);
}

template <matrix Q>
void attention_vjp(const Q& q, input<scalar_of<const Q>> k, input<scalar_of<const Q>> v, input<scalar_of<const Q>> upstream,
                   const attention_gradients<scalar_of<const Q>>& gradients, const attention_options& options = {},
                   const attention_projections<const scalar_of<const Q>>& by = {}) {
    attention_vjp(default_backend, q, k, v, upstream, gradients, options, by);
}

} // namespace car::inline CAR_ABI
