// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softmax.cuh" // Y by its own softmax

namespace car::inline CAR_ABI::kernel::device_row {

/// How far the logits of the live classes are below the maximum, in all.
template <class A>
struct distances {
    joint<A> sum;
    A live = 0;

    __device__ void merge(const distances& other) {
        sum.merge(other.sum);
        live += other.live;
    }
};

/// What options may ask of a row's label: that some of it goes to the live classes in equal parts, and a divergence against it, which is
/// the cross-entropy of Y.
template <class A>
struct target_terms {
    double even = 0;     ///< what each live class is given
    double distance = 0; ///< the mean of M - p over the live classes
    log_sum<A> corrected;
    split<A> own; ///< the label's p - c

    static __device__ split<A> difference(A p, A c) { return corrected_logit<A>{{A(1), A(0)}}(p, c); }

    template <class Row, class Group>
    __device__ void smooth(const Row& row, Group& group, A max, double amount) {
        distances<A> all;
        compensated<A> sum;
        row.visit([&](int, A p, A) {
            if (p == -infinity<A>) return;
            sum.add_term(max - p);
            all.live += 1;
        });
        all.sum = sum;
        group.reduce(all);
        const double share = inverse(all.live > 0 ? static_cast<double>(all.live) : 1);
        even = amount * share;
        distance = all.sum.value() * share;
    }
    template <class Row, class Group>
    __device__ void compare(const Row& row, Group& group, const auto& p_at, const auto& c_at, A p_label, A c_label) {
        corrected = log_sum<A>(row, group, difference, [&](int k) { return difference(p_at(k), c_at(k)); });
        own = difference(p_label, c_label);
    }

    /// -log Y of the label.
    __device__ double divergence() const {
        if (!corrected.is_defined()) return no_number<double>;
        return static_cast<double>(corrected.top.value - own.high) +
               (static_cast<double>(corrected.low_of_top - own.low) + corrected.value());
    }
    __device__ double log_sum_exp() const {
        if (!corrected.is_defined()) return no_number<double>;
        return static_cast<double>(corrected.top.value) + (static_cast<double>(corrected.low_of_top) + corrected.value());
    }
    /// Y, and at the label Y - 1, which is minus the sum of the others.
    __device__ double slope(int k, bool is_label, A p, A c) const {
        if (!corrected.is_defined()) return no_number<double>;
        const double one_over = inverse(corrected.sum());
        const split<A> d = difference(p, c);
        const double e = static_cast<double>(corrected.exponential(d.high, d.low));
        if (!is_label) return e * one_over;
        return d.high == -infinity<A> ? -1 : -one_over * (k == corrected.top.column ? corrected.rest.value() : corrected.sum() - e);
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
