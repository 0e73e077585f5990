// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"             // policies
#include "detail/intervention.hpp" // attention and approximator, checks

namespace car::inline CAR_ABI {

template <class T>
struct textual_gradients {
    matrix_view<T> grad_t = {}; ///< as t, and so on; what is not given is left out
    matrix_view<T> grad_prompts = {};
    matrix_view<T> grad_approximator = {};
};

template <class T>
struct visual_gradients {
    matrix_view<T> grad_t = {}; ///< as t, and so on; what is not given is left out
    matrix_view<T> grad_v = {};
    matrix_view<T> grad_approximator = {};
};

/// Textual causal intervention: the texts of the labels, adjusted by the back door for what texts and videos have in common, B -> T.
///
///     H = softmax(scale t prompts^T) prompts           sum_h h P(h), each h a visual prompt that goes with the text
///     y = [t, H] approximator                          E_h[f(t, h)], its sum moved inside a linear f (NWGM)
///
/// Without an approximator y is [t, H], for one of the caller's own.
///
/// Shapes    prompts: (B S) x D, sample after sample; B is 1 where they are of no sample. t: L x D, of every sample, or (B L) x D.
///           approximator: 2 D x E, or none: E = 2 D. y: (B L) x E.
/// Requires  shapes that agree, S >= 1, B >= 1, scale finite, y apart from the inputs; else throws std::invalid_argument, nothing
///           written.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element, at scores up to 10 and 200 prompts.
/// Cost      2 B L S D + 2 B L D E products, by car::eigen as Eigen makes them; allocates L (S + 2 D) doubles and copies of inputs of any
///           other type. Nothing of this, if a workspace has had the call before.
/// Source    CMDCL (Xu et al.).
template <backend Backend, matrix M>
void textual_intervention(const Backend& on, const M& t, input<scalar_of<const M>> prompts, matrix_view<scalar_of<const M>> y,
                          const intervention_options& options = {}, input<scalar_of<const M>> approximator = {}) {
    using T = scalar_of<const M>;
    const detail::intervention_arrays<const T> in{view(t), prompts, approximator, "t", "prompts"};
    detail::intervene<Backend, T>("textual_intervention", on, options, in, detail::passes::forward, y, {}, {});
}

template <matrix M>
void textual_intervention(const M& t, input<scalar_of<const M>> prompts, matrix_view<scalar_of<const M>> y,
                          const intervention_options& options = {}, input<scalar_of<const M>> approximator = {}) {
    textual_intervention(default_backend, t, prompts, y, options, approximator);
}

/// Vector-Jacobian product of textual_intervention: the slopes of sum upstream y.
///
///     with [A; A'] the halves of the approximator:   grad_t = upstream A^T + dQ,   dH = upstream A'^T,   grad_approximator = [t, H]^T
///     upstream grad_prompts = dK + dV, where dQ, dK and dV are those of attention_vjp for the upstream dH
///
/// Shapes    as textual_intervention; upstream: as y. A t of every sample has the sum of its slopes.
/// Requires  as textual_intervention; gradients apart from each other and from the inputs.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element of each gradient.
/// Cost      three times that of textual_intervention, and twice its memory.
/// Source    as textual_intervention.
template <backend Backend, matrix M>
void textual_intervention_vjp(const Backend& on, const M& t, input<scalar_of<const M>> prompts, input<scalar_of<const M>> upstream,
                              const textual_gradients<scalar_of<const M>>& gradients, const intervention_options& options = {},
                              input<scalar_of<const M>> approximator = {}) {
    using T = scalar_of<const M>;
    const detail::intervention_arrays<const T> in{view(t), prompts, approximator, "t", "prompts"};
    const detail::intervention_arrays<T> to{gradients.grad_t, gradients.grad_prompts, gradients.grad_approximator, "grad_t",
                                            "grad_prompts"};
    detail::intervene<Backend, T>("textual_intervention_vjp", on, options, in, detail::passes::both, {}, upstream, to);
}

template <matrix M>
void textual_intervention_vjp(const M& t, input<scalar_of<const M>> prompts, input<scalar_of<const M>> upstream,
                              const textual_gradients<scalar_of<const M>>& gradients, const intervention_options& options = {},
                              input<scalar_of<const M>> approximator = {}) {
    textual_intervention_vjp(default_backend, t, prompts, upstream, gradients, options, approximator);
}

/// Visual causal intervention: what a video shows of each label, adjusted by the front door, B -> V and Z -> V. The texts, adjusted
/// already, are the mediator: they choose the frames.
///
///     H = softmax(scale t v^T) v                       the frames that each label's text selects
///     y = [t, H] approximator
///
/// Without an approximator y is [t, H], for one of the caller's own.
///
/// Shapes    v: (B S) x D, S frames of each of B videos. t: L x D, of every video, or (B L) x D. approximator: 2 D x E, or none: E =
///           2 D. y: (B L) x E, the labels of a video one after the other.
/// Requires  as textual_intervention.
/// Numerics  as textual_intervention.
/// Cost      as textual_intervention; the memory is that of one video.
/// Source    CMDCL (Xu et al.).
template <backend Backend, matrix M>
void visual_intervention(const Backend& on, const M& t, input<scalar_of<const M>> v, matrix_view<scalar_of<const M>> y,
                         const intervention_options& options = {}, input<scalar_of<const M>> approximator = {}) {
    using T = scalar_of<const M>;
    const detail::intervention_arrays<const T> in{view(t), v, approximator, "t", "v"};
    detail::intervene<Backend, T>("visual_intervention", on, options, in, detail::passes::forward, y, {}, {});
}

template <matrix M>
void visual_intervention(const M& t, input<scalar_of<const M>> v, matrix_view<scalar_of<const M>> y,
                         const intervention_options& options = {}, input<scalar_of<const M>> approximator = {}) {
    visual_intervention(default_backend, t, v, y, options, approximator);
}

/// Vector-Jacobian product of visual_intervention, as that of textual_intervention.
///
///     grad_t, grad_v and grad_approximator as textual_intervention_vjp has them, v in place of the prompts
///
/// Shapes    as visual_intervention; upstream: as y. A t of every video has the sum of its slopes.
/// Requires  as visual_intervention; gradients apart from each other and from the inputs.
/// Numerics  as textual_intervention_vjp.
/// Cost      three times that of visual_intervention, and twice its memory.
/// Source    as visual_intervention.
template <backend Backend, matrix M>
void visual_intervention_vjp(const Backend& on, const M& t, input<scalar_of<const M>> v, input<scalar_of<const M>> upstream,
                             const visual_gradients<scalar_of<const M>>& gradients, const intervention_options& options = {},
                             input<scalar_of<const M>> approximator = {}) {
    using T = scalar_of<const M>;
    const detail::intervention_arrays<const T> in{view(t), v, approximator, "t", "v"};
    const detail::intervention_arrays<T> to{gradients.grad_t, gradients.grad_v, gradients.grad_approximator, "grad_t", "grad_v"};
    detail::intervene<Backend, T>("visual_intervention_vjp", on, options, in, detail::passes::both, {}, upstream, to);
}

template <matrix M>
void visual_intervention_vjp(const M& t, input<scalar_of<const M>> v, input<scalar_of<const M>> upstream,
                             const visual_gradients<scalar_of<const M>>& gradients, const intervention_options& options = {},
                             input<scalar_of<const M>> approximator = {}) {
    visual_intervention_vjp(default_backend, t, v, upstream, gradients, options, approximator);
}

} // namespace car::inline CAR_ABI
