// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/difference.hpp" // what p - M and c - c0 are held in

namespace car::inline CAR_ABI {

/// What a row of logits p and c, or any part of one, amounts to. States merge: the state of a row is the merge of the states
/// of its parts, whatever the parts are: a block of columns, a SIMD lane, a thread's share, a rank's shard of the classes.
///
///     max     M   the largest p
///     centre  c0  what c is measured from: d = c - c0
///     rest    R   sum of e, e = exp(p - M), without the column of the maximum itself:  S = sum of all e = 1 + R
///     drift   D   sum of e d
///     excess  U   sum of e phi(d),   phi(t) = exp(-t) - 1 + t
///     moved       magnitude of what was added and subtracted when centres were moved: what U may have lost, in units of its error
///
/// A default state is the identity. It is the state of a part in which every class is masked (p = -inf).
///
/// Difference is what p - M and c - c0 are held in: double, `split` (exact) or double_double (and then so are the sums).
template <class Difference>
struct basic_row_state {
    using number = detail::number_of<Difference>;

    Difference max = {-detail::infinity};
    double centre = 0;
    number rest = -1;
    number drift = 0;
    number excess = 0;
    number moved = 0;

    bool is_empty() const { return detail::rounded(max) == -detail::infinity; }
    number sum() const { return 1 + rest; }
};

using row_state = basic_row_state<detail::split>;

/// The state of two parts together. The part with the smaller maximum is moved to the maximum and the centre of the other.
///
///     k = exp(M2 - M1),  t = c02 - c01,  S2 = 1 + R2
///     R = R1 + k S2,   D = D1 + k (D2 + t S2),   U = U1 + k (exp(-t) U2 + phi(t) S2 - expm1(-t) D2)
///
/// Numerics  commutative to the bit except where the maxima are equal; associative to rounding.
template <class Difference>
basic_row_state<Difference> merge(const basic_row_state<Difference>& one, const basic_row_state<Difference>& other) {
    if (other.is_empty()) return one;
    if (one.is_empty()) return other;
    const bool swap = other.max > one.max;
    const auto &to = swap ? other : one, &from = swap ? one : other;

    using number = detail::number_of<Difference>;
    const Difference a = from.max - to.max, t = detail::difference<Difference>(from.centre, to.centre);
    const number k = detail::exp(a), sum = from.sum();
    const number scale = detail::exp(a - t); // k exp(-t)
    const auto moving = detail::weighted(a, k, t);
    const number kept = scale * from.excess, jumped = moving.phi * sum, turned = moving.fall * from.drift;
    basic_row_state<Difference> merged = to;
    merged.rest += k * sum;
    merged.drift += k * (from.drift + detail::to_number(t) * sum);
    merged.excess += kept + jumped + turned;
    if (from.centre != to.centre) merged.moved += kept + jumped + detail::abs(turned);
    merged.moved += scale * from.moved;
    return merged;
}

/// What a row's state says.
///
///     log_sum     log S:  lse(p) = M + log S
///     shift       log E_P[exp(-d)]:  log(P_k / Y_k) = d_k + shift, which cancels where Y_k is large
///     divergence  KL(P || Y) = E_P[d] + shift,  Y = softmax(p - c)
///     condition   how much larger the terms are than the divergence; NaN or infinite where the state holds no answer.
///                 Relative error of the divergence: about `condition` units of the number's roundoff.
template <class Difference>
struct basic_row_terms {
    using number = detail::number_of<Difference>;

    number sum = 1;
    number log_sum = 0;
    Difference shift = {};
    number divergence = 0;
    double condition = 1;
};

/// Requires  a state that is not empty.
/// Numerics  the divergence of a constant c is exactly 0. With |z| < 1/2 nothing of the size of z, only of the size of z^2, cancels.
template <class Difference>
basic_row_terms<Difference> finish(const basic_row_state<Difference>& state) {
    using number = detail::number_of<Difference>;
    basic_row_terms<Difference> terms;
    terms.sum = state.sum();
    terms.log_sum = detail::log1p(state.rest);
    const number z = (state.excess - state.drift) / terms.sum, shift = detail::log1p(z);
    terms.shift = detail::to_difference<Difference>(shift);
    const bool is_small = detail::abs(z) < 0.5;
    terms.divergence = is_small ? state.excess / terms.sum + detail::log1p_minus(z) : state.drift / terms.sum + shift;
    const number size = state.excess + state.moved + detail::abs(z * state.drift);
    if (size != 0) terms.condition = detail::rounded(size / terms.sum / (1 + z) / terms.divergence); // a product might overflow
    return terms;
}

} // namespace car::inline CAR_ABI
