// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "access.cuh"    // the elements of a row
#include "functions.cuh" // exp and log

// The state of a row, measured from its maximum: car::row_state on a device. What is found in the first two passes is the maximum, the sum
// of e = exp(p - M), and where c lies.
namespace car::inline CAR_ABI::kernel::device_row {

/// exp(p - max), in units that all rows share. What is subtracted first is subtracted without error where exp is not 0.
template <class A>
struct exponentials {
    A subtracted, floor, shift;

    __device__ explicit exponentials(A max)
        : subtracted(magnitude(max) >= 4 * format<A>::reach ? max : A(0)), floor(max - format<A>::reach),
          shift(shift_of(max - subtracted)) {}
    __device__ bool reaches(A p) const { return p >= floor; }
    __device__ A operator()(A p) const { return reaches(p) ? shifted_exp(reduced<A>(p - subtracted, shift)) : A(0); }
    /// exp(p + low - max)
    __device__ A operator()(A p, A low) const { return reaches(p) ? shifted_exp(reduced<A>(split<A>{p - subtracted, low}, shift)) : A(0); }
};

/// What the second pass finds out: the sum, the mean of c to a few digits, the extent of p - c and of c.
template <class A>
struct spread {
    joint<A> rest;
    double drift = 0;
    A highest = -infinity<A>, lowest = infinity<A>;

    __device__ void merge(const spread& other) {
        rest.merge(other.rest);
        drift += other.drift;
        highest = larger(highest, other.highest);
        lowest = smaller(lowest, other.lowest);
    }
};

/// How many terms of a sum over this row are added together: powers of two, so that they are no more than all of them.
template <int Most, class Row>
inline constexpr int at_most = Row::neighbours < Most ? Row::neighbours : Most;

template <class A>
struct two_sums {
    joint<A> first, second;

    __device__ void merge(const two_sums& other) {
        first.merge(other.first);
        second.merge(other.second);
    }
};

template <class A, class Row, class Group>
__device__ peak<A> peak_of(const Row& row, Group& group) {
    peak<A> found;
    row.visit([&](int k, A p, A) { found.add(p, k); });
    found.close();
    group.reduce(found);
    return found;
}

/// The first two passes: the maximum, the sum and where c lies.
template <class A>
struct measured {
    peak<A> top;
    exponentials<A> exponential;
    A at_top = 1; ///< exp at the maximum
    spread<A> sums;

    /// c_at(k) is the c of any column of the row.
    template <class Row, class Group>
    __device__ measured(const Row& row, Group& group, const auto& c_at) : top(peak_of<A>(row, group)), exponential(safe(top)) {
        at_top = exponential(safe(top));
        const A origin = is_defined() ? c_at(top.column) : A(0);
        grouped<A, at_most<2, Row>> rest; // of a sure row it is the cross-entropy, which has a rounding to spare
        A drift = 0;
        row.visit([&](int k, A p, A c) {
            const A e = exponential(p);
            rest.add_term(k == top.column ? A(0) : e);
            drift = fma(e, exponential.reaches(p) ? c - origin : A(0), drift);
            sums.highest = larger(sums.highest, p - c);
            sums.lowest = smaller(sums.lowest, c);
        });
        sums.rest = rest.whole();
        sums.drift = static_cast<double>(drift);
        group.reduce(sums);
        centre = static_cast<A>(static_cast<double>(origin) + sums.drift * inverse(sum()));
    }
    A centre;

    __device__ bool is_defined() const { return top.is_number(); }
    __device__ double sum() const { return sums.rest.value() + static_cast<double>(at_top); }
    /// log(sum of exp(p - max)), with all digits of a sure row.
    __device__ double log_sum() const { return log1p<A>(sums.rest.value() * inverse(static_cast<double>(at_top))); }

  private:
    static __device__ A safe(const peak<A>& found) { return found.is_number() ? found.value : A(0); }
};

} // namespace car::inline CAR_ABI::kernel::device_row
