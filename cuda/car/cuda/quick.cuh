// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "terms.cuh" // what follows from a row's sums

#include <car/backend/simd/coefficients.hpp> // the host's polynomials

// Most rows of floats and less: measured as the host's registers measure them, with the same polynomials and the same limits to what may
// be concluded. c - centre is rounded, and is not held in two parts; a row whose sums say that this could pass a bound is solved anew by
// `measured` and `finish`.
namespace car::inline CAR_ABI::kernel::device_row {

/// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2, and for |r| <= ln 2.
struct near_tail {
    template <int K>
    static constexpr float at = simd_row::constants<float>::near_tail[K];
    static constexpr int last = static_cast<int>(sizeof simd_row::constants<float>::near_tail / sizeof(float)) - 1;
};
struct tail {
    template <int K>
    static constexpr float at = simd_row::constants<float>::tail[K];
    static constexpr int last = static_cast<int>(sizeof simd_row::constants<float>::tail / sizeof(float)) - 1;
};
template <class Of, int K = 0>
__device__ __forceinline__ float polynomial(float r) {
    constexpr float own = Of::template at<K>;
    if constexpr (K == Of::last)
        return own;
    else
        return fma(polynomial<Of, K + 1>(r), r, own);
}

/// x - n ln 2
__device__ __forceinline__ float reduced_by(float n, float x) {
    using host = simd_row::constants<float>;
    return fma(n, -host::ln2_low, fma(n, -host::ln2_high, x));
}

/// The first pass: e = exp(p - M), in the units of `exponentials`. Nothing is subtracted from p and rounded.
struct weigher {
    float floor, shift;
    float instead; ///< of the c of a masked class, which may be anything

    __device__ weigher(float max, float instead) : floor(max - format<float>::reach), shift(shift_of(max)), instead(instead) {}
    __device__ __forceinline__ float exponential(float p) const {
        const float t = fma(p, format<float>::log2_e, shift), r = reduced_by(add(t, -shift), p);
        const float part = fma(fma(polynomial<near_tail>(r), r, 1.0f), r, 1.0f);
        const auto moved = static_cast<unsigned>(bits_of(t)) << format<float>::mantissa;
        return p >= floor ? number_of_bits(static_cast<int>(static_cast<unsigned>(bits_of(part)) + moved)) : 0.0f;
    }
    __device__ __forceinline__ weighed_column<float> operator()(float p, float c) const {
        return {exponential(p), p == -infinity<float> ? instead : c};
    }
};

/// The second pass: what a column adds to the sums of x = c - centre.
struct bender {
    float centre;

    __device__ __forceinline__ float distance(const weighed_column<float>& k) const { return add(k.c, -centre); }
    __device__ __forceinline__ element<float> operator()(const weighed_column<float>& k) const {
        constexpr float even = 2 * simd_row::constants<float>::rounder; // leaves the nearest even number
        const float x = distance(k), near = smaller(x, format<float>::deepest);
        const float t = fma(near, -format<float>::log2_e, even), n = add(t, -even), r = reduced_by(n, -near);
        const auto moved = static_cast<unsigned>(bits_of(t)) << (format<float>::mantissa + 1);
        const float power = number_of_bits(static_cast<int>(static_cast<unsigned>(bits_of(1.0f)) + moved));
        const float own = r * r * polynomial<tail>(r), rise = fma(power, add(r, own), add(power, -1.0f)); // exp(-x) - 1
        return {k.e, k.e * x, k.e * (n == 0 ? own : add(rise, x)), k.e * -rise};
    }
};

/// What the first pass adds up to: R, and where c lies.
struct weight {
    double rest = 0;
    float drift = 0;
    static constexpr int words = 3;

    __device__ void merge(const weight& other) {
        rest += other.rest;
        drift += other.drift;
    }
};
/// And the second: D, U and the least x.
struct bent_sums {
    double drift = 0, excess = 0;
    float lowest = infinity<float>;
    static constexpr int words = 5;

    __device__ void merge(const bent_sums& other) {
        drift += other.drift;
        excess += other.excess;
        lowest = smaller(lowest, other.lowest);
    }
};

/// A row in two passes after that which finds its maximum.
struct quick_row {
    peak<float> top;
    weigher weigh;
    bender bend{0};
    double rest = 0; ///< R
    row_terms terms;
    bool holds = false; ///< do the terms keep to the bounds?

    /// c_label: a number that c may be measured from, the nearer the better. A row without a maximum does not hold. Where c is not read,
    /// it is 0, and so is all that follows from it.
    template <class Row, class Group>
    __device__ quick_row(const Row& row, Group& group, float c_label)
        : top(peak_of<float>(row, group)), weigh(max(), magnitude(c_label) < infinity<float> ? c_label : 0.0f) {
        passed_on<at_most<8, Row>> rests, drifts;
        row.weighed(weigh, [&](int k, const weighed_column<float>& column) {
            rests.add_term(k == top.column ? 0.0f : column.e);
            drifts.add_term(column.e * add(column.c, -weigh.instead));
        });
        weight sums{rests.whole(), static_cast<float>(drifts.whole())};
        group.reduce(sums);
        rest = sums.rest;
        const double at_top = static_cast<double>(weigh.exponential(max()));
        terms.sum = rest + at_top;
        holds = top.is_number() && magnitude(max()) <= static_cast<float>(simd_row::largest_logit);
        bend.centre = static_cast<float>(static_cast<double>(weigh.instead) + static_cast<double>(sums.drift) * inverse(terms.sum));
        const bent_sums found = bent(row, group);
        static_cast<narrow_terms&>(terms) =
            group.once([&] { return narrow_terms_of<float>(terms.sum, log1p<float>(rest * inverse(at_top)), found.drift, found.excess); });
        holds = holds && is_within(found);
    }

  private:
    __device__ float max() const { return top.is_number() ? top.value : 0.0f; }
    template <class Row, class Group>
    __device__ bent_sums bent(const Row& row, Group& group) const {
        passed_on<at_most<8, Row>> drifts, excesses;
        bent_sums all;
        row.bent(weigh, bend, [&](const weighed_column<float>& column, const element<float>& k) {
            drifts.add_term(k.drift);
            excesses.add_term(k.excess);
            all.lowest = smaller(all.lowest, bend.distance(column));
        });
        all.drift = drifts.whole();
        all.excess = excesses.whole();
        group.reduce(all);
        return all;
    }
    /// As the host's `limits`, but that less of exp(-x) is in the range. Every comparison is false for a NaN.
    __device__ bool is_within(const bent_sums& all) const {
        constexpr double condition = 4, lowest = -30, lowest_of_one = -16;
        const double z = all.excess - all.drift, size = all.excess * terms.sum + magnitude(z) * magnitude(all.drift);
        return size <= condition * terms.sum * (terms.sum + z) * terms.divergence && terms.divergence >= 0 && all.lowest >= lowest &&
               all.lowest >= lowest_of_one * (terms.divergence > 1 ? terms.divergence : 1);
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
