// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/arithmetic.hpp" // split, phi, log1p_minus, weighted_phi

#include <cmath>  // std::log1p, std::abs
#include <limits> // -infinity, the maximum of no logit

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
struct row_state {
    detail::split max = {-std::numeric_limits<double>::infinity(), 0};
    double centre = 0;
    double rest = -1;
    double drift = 0;
    double excess = 0;
    double moved = 0;

    constexpr bool is_empty() const { return max.high == -std::numeric_limits<double>::infinity(); }
    constexpr double sum() const { return 1 + rest; }
};

/// The state of two parts together. The part with the smaller maximum is moved to the maximum and the centre of the other.
///
///     k = exp(M2 - M1),  t = c02 - c01,  S2 = 1 + R2
///     R = R1 + k S2,   D = D1 + k (D2 + t S2),   U = U1 + k (exp(-t) U2 + phi(t) S2 - expm1(-t) D2)
///
/// Numerics  commutative to the bit except where the maxima are equal; associative to rounding.
inline row_state merge(const row_state& one, const row_state& other) {
    if (other.is_empty()) return one;
    if (one.is_empty()) return other;
    const bool swap = other.max.high > one.max.high || (other.max.high == one.max.high && other.max.low > one.max.low);
    const row_state &to = swap ? other : one, &from = swap ? one : other;

    const detail::split a = from.max - to.max, t = detail::split{from.centre} - detail::split{to.centre};
    const double k = detail::exp(a), sum = from.sum();
    const double scale = detail::exp(a - t); // k exp(-t)
    const double kept = scale * from.excess, jumped = detail::weighted_phi(a, k, t) * sum,
                 turned = detail::weighted_fall(a, k, t) * from.drift;
    row_state merged = to;
    merged.rest += k * sum;
    merged.drift += k * (from.drift + t.high * sum);
    merged.excess += kept + jumped + turned;
    if (t.high != 0) merged.moved += kept + jumped + std::abs(turned);
    merged.moved += scale * from.moved;
    return merged;
}

/// What a row's state says.
///
///     log_sum     log S:  lse(p) = M + log S
///     shift       log E_P[exp(-d)]:  log(P_k / Y_k) = d_k + shift, which cancels where Y_k is large
///     divergence  KL(P || Y) = E_P[d] + shift,  Y = softmax(p - c)
///     condition   how much larger the terms are than the divergence; NaN or infinite where the state holds no answer.
///                 Relative error of the divergence: about `condition` units of double's roundoff.
struct row_terms {
    double sum = 1;
    double log_sum = 0;
    detail::split shift = {};
    double divergence = 0;
    double condition = 1;
};

/// Requires  a state that is not empty.
/// Numerics  the divergence of a constant c is exactly 0. With |z| < 1/2 nothing of the size of z, only of the size of z^2, cancels.
inline row_terms finish(const row_state& state) {
    row_terms terms;
    terms.sum = state.sum();
    terms.log_sum = std::log1p(state.rest);
    const double z = (state.excess - state.drift) / terms.sum;
    terms.shift = {std::log1p(z)};
    terms.divergence = std::abs(z) < 0.5 ? state.excess / terms.sum + detail::log1p_minus(z) : state.drift / terms.sum + terms.shift.high;
    const double size = state.excess + state.moved + std::abs(z * state.drift);
    if (size != 0) terms.condition = size / (terms.sum * (1 + z) * terms.divergence);
    return terms;
}

} // namespace car::inline CAR_ABI
