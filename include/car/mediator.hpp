// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"           // policies
#include "detail/front_door.hpp" // the two attentions, checks

namespace car::inline CAR_ABI {

/// Front-door adjustment as two attentions: the mediator reads the input, and the input reads what the mediator has.
///
///     V = softmax(scale (m query1) (x key1)^T) (x value1)          P(m | x), for each m the inputs that go with it
///     y = x + softmax(scale (x query2) (m key2)^T) (V value2)      the sum over m
///
/// Shapes    x: (B L) x D, m: (B S) x D, sample after sample. y: as x. query and key of `first` and of `second`: columns of what they are
///           of x E; value of first: D x F, value of second: F x D.
/// Requires  shapes that agree, L >= 1, S >= 1, B >= 1, scale finite, y apart from the inputs; else throws std::invalid_argument, nothing
///           written.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element, at scores up to 20 and 200 rows.
/// Cost      4 B L S D products without projections, by car::eigen as Eigen makes them; allocates 2 (L S + S F) doubles, what is
///           projected, and copies of inputs of any other type. Nothing of this, if a workspace has had the call before.
/// Source    VLCI (Chen et al. 2023): no projections and a scale of 1; or query and value in each, value in the place of a projection of
///           what is read, and a scale of 1 / sqrt(D). Discrete variables: car::front_door.
template <backend Backend, matrix X>
void front_door_attention(const Backend& on, const X& x, input<scalar_of<const X>> m, matrix_view<scalar_of<const X>> y,
                          const front_door_options& options = {}, const front_door_projections<const scalar_of<const X>>& by = {}) {
    using T = scalar_of<const X>;
    const detail::front_door_arrays<const T> in{view(x), m, by};
    detail::front_door<Backend, T>("front_door_attention", on, options, in, detail::passes::forward, y, {}, {});
}

template <matrix X>
void front_door_attention(const X& x, input<scalar_of<const X>> m, matrix_view<scalar_of<const X>> y,
                          const front_door_options& options = {}, const front_door_projections<const scalar_of<const X>>& by = {}) {
    front_door_attention(default_backend, x, m, y, options, by);
}

/// Vector-Jacobian product of front_door_attention: the slopes of sum upstream y, x's of all the places where it is.
///
///     as attention_vjp of the second attention, whose dV is the upstream of the first; grad_x has upstream itself besides
///
/// Shapes    as front_door_attention; upstream: as y.
/// Requires  as front_door_attention; gradients apart from each other and from the inputs.
/// Numerics  In double, rounded once: measured within 1e-12 of the largest element of each gradient.
/// Cost      three times that of front_door_attention, and twice its memory.
/// Source    as front_door_attention.
template <backend Backend, matrix X>
void front_door_attention_vjp(const Backend& on, const X& x, input<scalar_of<const X>> m, input<scalar_of<const X>> upstream,
                              const front_door_gradients<scalar_of<const X>>& gradients, const front_door_options& options = {},
                              const front_door_projections<const scalar_of<const X>>& by = {}) {
    using T = scalar_of<const X>;
    const detail::front_door_arrays<const T> in{view(x), m, by};
    const detail::front_door_arrays<T> to{gradients.grad_x, gradients.grad_m, gradients.projections};
    detail::front_door<Backend, T>("front_door_attention_vjp", on, options, in, detail::passes::both, {}, upstream, to);
}

template <matrix X>
void front_door_attention_vjp(const X& x, input<scalar_of<const X>> m, input<scalar_of<const X>> upstream,
                              const front_door_gradients<scalar_of<const X>>& gradients, const front_door_options& options = {},
                              const front_door_projections<const scalar_of<const X>>& by = {}) {
    front_door_attention_vjp(default_backend, x, m, upstream, gradients, options, by);
}

} // namespace car::inline CAR_ABI
