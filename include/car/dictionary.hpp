// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"       // policies
#include "detail/attend.hpp" // attention, its checks
#include "detail/prior.hpp"  // the entries' probabilities

#include <cmath>    // std::sqrt
#include <optional> // a scale that is given

namespace car::inline CAR_ABI {

struct dictionary_options {
    enum normalise normalise = normalise::yes;
    std::optional<double> scale = {}; ///< of the scores; if not given, 1 / sqrt(E)
    workspace* memory = nullptr;      ///< used again by every call that is given it
};

/// Of const T, what x and z are multiplied by; of T, the slopes of these. One that is not given is the identity, or left out.
template <class T>
struct dictionary_projections {
    matrix_view<T> query = {}; ///< D x E
    matrix_view<T> key = {};   ///< Dz x E
};

template <class T>
struct dictionary_gradients {
    matrix_view<T> grad_x = {}; ///< as x, and so on; what is not given is left out
    matrix_view<T> grad_z = {};
    vector_view<term_of<T>> grad_prior = {};
    dictionary_projections<T> projections = {};
};

namespace detail {

/// Everything that is wrong with a call; y is written, or the slopes of upstream.
template <class T>
attention_call check_dictionary(const checker& check, const attention_arrays<const T, const term_of<T>>& in, passes wanted,
                                const matrix_view<T>& y, const matrix_view<const T>& upstream, const attention_arrays<T, term_of<T>>& to,
                                const dictionary_options& options) {
    check.readable(footprint_of("x", in.q));
    check_prior(check, in.prior, "entry");
    check.shape(footprint_of("z", in.k), in.prior.size, in.k.cols);
    const std::ptrdiff_t width = check_projections(check, "x", in.q, "z", in.k, in.by);
    check_output(check, wanted, y, upstream, in.q.rows, in.k.cols);
    if (options.scale) check.finite("scale", *options.scale);
    check_gradient(check, "grad_x", to.q, in.q);
    check_gradient(check, "grad_z", to.k, in.k);
    check_gradients(check, to.by, in.by);
    if (to.prior) check.shape(footprint_of("grad_prior", to.prior), in.prior.size, 1);
    check.separate({{footprint_of("y", y)},
                    {footprint_of("grad_x", to.q)},
                    {footprint_of("grad_z", to.k)},
                    {footprint_of("grad_prior", to.prior)},
                    {footprint_of("grad_query", to.by.query)},
                    {footprint_of("grad_key", to.by.key)}},
                   {footprint_of("x", in.q), footprint_of("z", in.k), footprint_of("prior", in.prior), footprint_of("query", in.by.query),
                    footprint_of("key", in.by.key), footprint_of("upstream", upstream)});
    return {1, options.scale.value_or(1 / std::sqrt(static_cast<double>(width))), options.normalise, options.memory};
}

} // namespace detail

/// The expected confounder given each row: attention over a dictionary of confounders z_k, each weighed by its probability.
///
///     a = softmax(scale (x query) (z key)^T),   y = sum_k w_k z_k
///     w_k = prior_k a_k                              (normalise::as_published)
///     w_k = prior_k a_k / sum_l prior_l a_l          (normalise::yes: softmax of the scores + log prior)
///
/// The published weights do not sum to 1: with equal priors y is K times smaller than the mean that it stands for.
///
/// Shapes    x: N x D. z: K x Dz. prior: K. query: D x E, key: Dz x E. y: N x Dz.
/// Requires  shapes that agree, K >= 1, prior at least 0 with sum 1 to within K u, scale finite, y apart from the inputs; else throws
///           std::invalid_argument, nothing written.
/// Numerics  In double, rounded once. Without projections the error of y(i,j) is at most (2 (D + 5) M + 10 |log prior| + K + 16) u
///           sum_k |w_k z_kj|, u = 2^-53, M the largest sum_d |scale x z| of the row, |log prior| the largest of a prior that is not 0.
/// Cost      N K (E + Dz) products, by car::eigen as Eigen makes them; allocates N x K doubles, what is projected, and copies of inputs of
///           any other type. Nothing of this, if a workspace has had the call before.
/// Source    VC R-CNN (Wang et al. 2020), DeVLBert (Zhang et al. 2020), CCIM (Yang et al. 2023).
template <backend Backend, matrix X>
void confounder_dictionary(const Backend& on, const X& x, input<scalar_of<const X>> z, vector_view<const term_of<scalar_of<const X>>> prior,
                           matrix_view<scalar_of<const X>> y, const dictionary_options& options = {},
                           const dictionary_projections<const scalar_of<const X>>& by = {}) {
    using T = scalar_of<const X>;
    const detail::attention_arrays<const T, const term_of<T>> in{view(x), z, z, {by.query, by.key}, prior};
    const auto call =
        detail::check_dictionary<T>(detail::checker("confounder_dictionary"), in, detail::passes::forward, y, {}, {}, options);
    detail::attend<Backend, T>(on, call, in, detail::passes::forward, y, {}, {});
}

template <matrix X>
void confounder_dictionary(const X& x, input<scalar_of<const X>> z, vector_view<const term_of<scalar_of<const X>>> prior,
                           matrix_view<scalar_of<const X>> y, const dictionary_options& options = {},
                           const dictionary_projections<const scalar_of<const X>>& by = {}) {
    confounder_dictionary(default_backend, x, z, prior, y, options, by);
}

/// Vector-Jacobian product of confounder_dictionary: the slopes of sum upstream y.
///
///     as attention_vjp with keys and values z, both of which grad_z is of;   g = upstream,  c_i = sum_k w_ik g_i.z_k
///     grad_prior_k = sum_i a_ik g_i.z_k                        (as_published)
///     grad_prior_k = sum_i w_ik (g_i.z_k - c_i) / prior_k      (yes; of an entry of prior 0, which counts for nothing, 0)
///
/// Shapes    as confounder_dictionary; upstream: as y.
/// Requires  as confounder_dictionary; gradients apart from each other and from the inputs.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element of each gradient. grad_prior is that of a prior
///           whose elements are free.
/// Cost      three times that of confounder_dictionary, and twice its memory.
/// Source    as confounder_dictionary.
template <backend Backend, matrix X>
void confounder_dictionary_vjp(const Backend& on, const X& x, input<scalar_of<const X>> z,
                               vector_view<const term_of<scalar_of<const X>>> prior, input<scalar_of<const X>> upstream,
                               const dictionary_gradients<scalar_of<const X>>& gradients, const dictionary_options& options = {},
                               const dictionary_projections<const scalar_of<const X>>& by = {}) {
    using T = scalar_of<const X>;
    const detail::attention_arrays<const T, const term_of<T>> in{view(x), z, z, {by.query, by.key}, prior};
    const detail::attention_arrays<T, term_of<T>> to{gradients.grad_x,
                                                     gradients.grad_z,
                                                     gradients.grad_z,
                                                     {gradients.projections.query, gradients.projections.key},
                                                     gradients.grad_prior};
    const detail::checker check("confounder_dictionary_vjp");
    const auto call = detail::check_dictionary<T>(check, in, detail::passes::both, {}, upstream, to, options);
    detail::attend<Backend, T>(on, call, in, detail::passes::both, {}, upstream, to);
}

template <matrix X>
void confounder_dictionary_vjp(const X& x, input<scalar_of<const X>> z, vector_view<const term_of<scalar_of<const X>>> prior,
                               input<scalar_of<const X>> upstream, const dictionary_gradients<scalar_of<const X>>& gradients,
                               const dictionary_options& options = {}, const dictionary_projections<const scalar_of<const X>>& by = {}) {
    confounder_dictionary_vjp(default_backend, x, z, prior, upstream, gradients, options, by);
}

} // namespace car::inline CAR_ABI
