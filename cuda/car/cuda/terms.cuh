// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "state.cuh" // the maximum, the sum, and where c lies

// What the state of a row says of its divergence: car::row_terms on a device. c is measured from a number near its mean. The sums are
//
//     R = sum of e without the maximum's own,   D = sum of e x,   U = sum of e phi(x),   e = exp(p - M), x = c - centre
//
// and z = (U - D)/S, S = 1 + R, shift = log1p(z), KL = U/S + log1p(z) - z: with a centre within a unit in the last place of the mean,
// no two of its terms cancel. Rows of which one element outweighs its probability by far, exp(p - M - x) > exp(30), are wide: theirs is
// Y by its own softmax, where nothing cancels that matters, since KL is large. In a deep row single columns are beyond the format, and are
// held through p - c.
namespace car::inline CAR_ABI::kernel::device_row {

/// Any of several findings, a bit each.
struct findings {
    int bits = 0;
    __device__ void merge(const findings& other) { bits |= other.bits; }
};

struct wide_number {
    double value = 0;
    __device__ void merge(const wide_number& other) { value += other.value; }
};

/// What a row's sums say, in double. As car::basic_row_terms; the last three are of w = x + shift: exp(-w) = slope (exp(-x)),
/// fall = slope - 1, level = phi(shift) - divergence.
struct narrow_terms {
    double log_sum = 0, mean = 0, shift = 0, divergence = 0, slope = 1, fall = 0, level = 0;
};
struct row_terms : narrow_terms {
    double sum = 1;
    bool wide = false, deep = false, finite = true; ///< deep: some columns are `careful`; finite: c is, wherever it counts
    double top_y = 0, log_sum_y = 0, sum_y = 1;     ///< of p - c and exp(p - c - top_y), of a wide row; the sum in units of its own

    __device__ bool is_plain() const { return !wide && !deep; }
};

/// x below which a column may need care.
inline constexpr int shallow = -39;

template <class A>
struct centred {
    exponentials<A> exponential;
    A centre;

    __device__ __forceinline__ split<A> distance(A p, A c) const {
        return two_sum(exponential.reaches(p) ? c : centre, -centre); // the c of a masked class may be anything
    }
    __device__ __forceinline__ element<A> operator()(A p, A c) const {
        using f = format<A>;
        const A e = exponential(p);
        const split<A> x = distance(p, c);
        const A near = smaller(larger(x.high, -f::deepest), f::deepest);
        const curve<A> at(near, x.low);
        return {e, e * x.high, e * (at.phi + (x.high - near)), e * at.drop};
    }
};

/// The columns of a row that `centred` does not hold: exp(p - c) is taken of the difference itself.
template <class A>
struct careful {
    centred<A> near;
    exponentials<A> other;
    A scale; ///< from the units of `other` to those of e
    bool wide, finite;

    __device__ careful(const measured<A>& whole, const row_terms& terms)
        : near{whole.exponential, whole.centre},
          other(terms.wide ? whole.sums.highest : static_cast<A>(static_cast<double>(whole.top.value) - static_cast<double>(whole.centre))),
          wide(terms.wide), finite(terms.finite) {
        const A at = wide ? whole.sums.highest : static_cast<A>(static_cast<double>(whole.top.value) - static_cast<double>(whole.centre));
        const double lost = (static_cast<double>(at) - static_cast<double>(whole.top.value)) + static_cast<double>(whole.centre);
        scale = static_cast<A>(wide ? quotient(terms.sum, terms.sum_y)
                                    : static_cast<double>(whole.at_top) * inverse(static_cast<double>(other(at))) *
                                          (1 + (lost + lost * lost * tail_series(lost))));
    }
    __device__ element<A> operator()(A p, A c) const {
        if (p == -infinity<A>) return {};
        const split<A> difference = two_sum(p, -c);
        const A e = near.exponential(p);
        const A y = finite ? other(difference.high, difference.low) * scale : A(0);
        if (wide) return {e, e != 0 && finite ? e * (c - near.centre) : A(0), y, y};
        if (!(c - near.centre < A(shallow))) return near(p, c);
        const A drift = e == 0 ? A(0) : e * (c - near.centre);
        return {e, drift, (y - e) + drift, e - y};
    }
};

/// c of the live classes is infinite or NaN, or so large that its mean overflowed: what KL is, and a centre if there is one.
template <class A, class Row, class Group>
__device__ void look_at_counterfactual(const Row& row, Group& group, measured<A>& whole, row_terms& terms) {
    constexpr int is_nan = 1, rises = 2, falls = 4, is_finite = 8;
    findings found;
    wide_number mean;
    row.visit([&](int, A p, A c) {
        if (p == -infinity<A>) return;
        found.bits |= c != c ? is_nan : c == infinity<A> ? rises : c == -infinity<A> ? falls : is_finite;
        const double e = whole.exponential(p);
        if (e != 0) mean.value = fma(e, static_cast<double>(c), mean.value);
    });
    group.reduce(found);
    group.reduce(mean);
    terms.finite = !(found.bits & (is_nan | rises | falls));
    terms.divergence = (found.bits & is_nan) || found.bits == rises || found.bits == falls ? no_number<double> : infinity<double>;
    whole.centre = terms.finite ? static_cast<A>(mean.value * inverse(whole.sum())) : A(0);
}

/// Is there a class whose exp(-x) or e is beyond the format, and counts?
template <class A, class Row, class Group>
__device__ bool outgrows(const Row& row, Group& group, const measured<A>& whole) {
    using f = format<A>;
    findings found;
    row.visit([&](int, A p, A c) {
        if (p == -infinity<A>) return;
        const A x = c - whole.centre, a = p - whole.top.value;
        found.bits |= a - x > -f::negligible && (x < -f::deepest || a < -f::reach + 1);
    });
    group.reduce(found);
    return found.bits != 0;
}

/// From R, D and U.
template <class A>
__device__ inline narrow_terms narrow_terms_of(double sum, double log_sum, double whole_drift, double whole_excess) {
    narrow_terms found;
    found.log_sum = log_sum;
    const double one_over = inverse(sum), excess = whole_excess * one_over, drift = whole_drift * one_over, z = excess - drift;
    found.mean = drift;
    found.shift = log1p<A>(z);
    found.divergence = magnitude(z) < format<A>::small ? excess + log1p_minus<A>(z) : drift + found.shift;
    found.slope = inverse(1 + z);
    found.fall = -z * found.slope;
    found.level = (found.fall + found.shift) - found.divergence;
    return found;
}

template <class A, class Row, class Group, class Column>
__device__ narrow_terms finish_narrow(const Row& row, Group& group, const measured<A>& whole, const Column& column) {
    grouped<A, at_most<4, Row>> drifts, excesses;
    row.visit([&](int, A p, A c) {
        const element<A> k = column(p, c);
        drifts.add_term(k.drift);
        excesses.add_term(k.excess);
    });
    two_sums<A> sums{drifts.whole(), excesses.whole()}; // D, U
    group.reduce(sums);
    return group.once([&] { return narrow_terms_of<A>(whole.sum(), whole.log_sum(), sums.first.value(), sums.second.value()); });
}

template <class A, class Row, class Group>
__device__ void finish_wide(const Row& row, Group& group, const measured<A>& whole, row_terms& terms) {
    const exponentials<A> other(whole.sums.highest);
    wide_number drift, sum;
    row.visit([&](int, A p, A c) {
        const double e = whole.exponential(p);
        if (e != 0) drift.value = fma(e, static_cast<double>(c) - static_cast<double>(whole.centre), drift.value);
        const split<A> difference = two_sum(p, -c);
        if (p != -infinity<A>) sum.value += static_cast<double>(other(difference.high, difference.low));
    });
    group.reduce(drift);
    group.reduce(sum);
    if (!terms.finite) return;
    terms.mean = drift.value * inverse(terms.sum);
    terms.top_y = static_cast<double>(whole.sums.highest);
    terms.log_sum_y = log1p<A>(sum.value * inverse(static_cast<double>(other(whole.sums.highest))) - 1);
    compensated<double> total;
    for (const double part : {static_cast<double>(whole.sums.highest), -static_cast<double>(whole.top.value),
                              static_cast<double>(whole.centre), terms.mean, terms.log_sum_y, -terms.log_sum})
        total.add_term(part);
    terms.divergence = total.value();
    terms.shift = terms.divergence - terms.mean;
    terms.sum_y = sum.value;
}

/// The terms of a row whose first two passes are done.
template <class A, class Row, class Group>
__device__ row_terms finish(const Row& row, Group& group, measured<A>& whole, bool reads_c) {
    row_terms terms;
    terms.sum = whole.sum();
    if (!reads_c) {
        terms.log_sum = group.once([&] { return whole.log_sum(); });
        return terms;
    }
    auto rare = group.rarely();
    const bool odd = !(magnitude(whole.centre) < A(1e30));
    if (group.any(odd)) {
        measured<A> looked = whole;
        row_terms found = terms;
        look_at_counterfactual(in_memory(row), rare, looked, found);
        if (odd) {
            whole = looked;
            terms = found;
        }
    }
    const A top = whole.sums.highest - (whole.top.value - whole.centre), bottom = whole.sums.lowest - whole.centre;
    const bool low = bottom < A(shallow), counts = group.any(low) && outgrows(row, rare, whole);
    terms.wide = !(top <= 30) || !terms.finite;
    terms.deep = !terms.wide && low && counts;
    // Rows that share a warp take each way together, and each keeps what is its own; the common way is taken by all.
    const narrow_terms common = finish_narrow<A>(row, group, whole, centred<A>{whole.exponential, whole.centre});
    terms.log_sum = common.log_sum;
    if (terms.is_plain()) static_cast<narrow_terms&>(terms) = common;
    if (group.any(terms.deep)) {
        const narrow_terms found = finish_narrow<A>(in_memory(row), rare, whole, careful<A>(whole, terms));
        if (terms.deep) static_cast<narrow_terms&>(terms) = found;
    }
    if (group.any(terms.wide)) {
        row_terms found = terms;
        finish_wide(in_memory(row), rare, whole, found);
        if (terms.wide) terms = found;
    }
    return terms;
}

} // namespace car::inline CAR_ABI::kernel::device_row
