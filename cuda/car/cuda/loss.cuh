// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.cuh"  // what each row of a call is given
#include "launch.cuh" // rows on a device
#include "terms.cuh"  // what a row comes to

namespace car::inline CAR_ABI::kernel::device_row {

/// What one column adds to a gradient: these numbers times what the column has. e is held 2^offset times, and 1/S is multiplied last:
/// neither P nor what is small in a sure row may vanish alone.
template <class A>
struct slopes {
    A one = 0, along = 0, curved = 0, dropped = 0;

    // The last addition makes -0 a 0.
    __device__ __forceinline__ A to_p(const element<A>& k, A share) const {
        return fma(fma(dropped, k.fall, fma(curved, k.excess, fma(along, k.drift, one * k.e))), share, A(0));
    }
    __device__ __forceinline__ A to_c(const element<A>& k, A share) const { return fma(fma(dropped, k.fall, one * k.e), share, A(0)); }
};

/// The gradients' rules of a row.
template <class A>
struct gradient_rules {
    slopes<A> p, c;
};

/// `scale` times alpha d KL, and `base` times P, which is what the rest of the loss has.
template <class A>
__device__ gradient_rules<A> rules_of(const row_terms& terms, double alpha, flow how, double base, double scale) {
    // P - Y, which is P (1 - exp(-w)); P x + Y - P, which is P (phi(w) - KL).
    const double fall_one = !terms.finite ? no_number<double> : terms.wide ? 1 : -terms.fall;
    const double fall_dropped = terms.wide ? -1 : terms.slope;
    double one = terms.wide ? -terms.mean - 1 : terms.level, along = terms.wide ? 1 : -terms.fall;
    double curved = terms.wide ? 1 : terms.slope, dropped = 0;
    if (how == flow::stop_target) {
        one = -terms.mean, along = 1, curved = 0;
    } else if (how == flow::stop_factual) {
        one = -fall_one, along = 0, curved = 0, dropped = -fall_dropped;
    }
    if (!terms.finite) one = no_number<double>;
    const auto rounded = [&](double x) { return static_cast<A>(scale * alpha * x); };
    gradient_rules<A> rules;
    if (alpha == 0) {
        rules.p.one = static_cast<A>(scale * base);
        return rules;
    }
    rules.p = {static_cast<A>(scale * fma(alpha, one, base)), rounded(along), rounded(curved), rounded(dropped)};
    if (how == flow::full || how == flow::stop_factual) rules.c = {rounded(fall_one), 0, 0, rounded(fall_dropped)};
    return rules;
}

template <class T>
struct loss_rows {
    using storage = T;
    using A = term_of<T>;
    static constexpr bool every_tier = true;

    batch<T> call;
    std::int64_t rows, cols;

    __device__ row_pointers<T> row(std::int64_t i) const { return call.row(i); }

    template <class Row, class Group>
    __device__ void operator()(const Row& row, Group& group, std::int64_t i, bool inside) const {
        const std::int64_t label = inside ? call.label(i) : 0;
        const bool is_class = label >= 0 && label < cols;
        const double weight = inside ? call.weight(i, label, is_class) : 0;
        const row_pointers<T> at = inside ? call.row(i) : row_pointers<T>{};
        const bool known = inside && is_class;
        const A p_label = known ? widen(at.p[label]) : A(0), c_label = known && at.c ? widen(at.c[label]) : A(0);

        measured<A> whole(row, group, at.c);
        row_terms terms = finish(row, group, whole, call.reads_c);
        group.settle();
        if (!inside) return;

        row_values values;
        if (weight != 0) {
            values.what = !is_class             ? fault::bad_label
                          : whole.top.bad       ? fault::not_finite
                          : !whole.is_defined() ? fault::masked_row
                                                : fault::none;
            values.predicted = whole.top.column;
            values.cross_entropy = (static_cast<double>(whole.top.value) - static_cast<double>(p_label)) + terms.log_sum;
            values.lse_p = static_cast<double>(whole.top.value) + terms.log_sum;
            values.divergence = call.alpha == 0 ? 0 : terms.divergence;
            values.lse_y = !call.reads_c || !terms.finite ? no_number<double>
                           : terms.wide                   ? static_cast<double>(whole.sums.highest) + terms.log_sum_y
                                                          : (values.lse_p - static_cast<double>(whole.centre)) + terms.shift;
            if (values.what != fault::none) values.spoil(call.alpha);
            if (values.what == fault::none && values.divergence != values.divergence) values.what = fault::not_finite;
        }
        if (group.leads()) call.put(i, weight, values, weight != 0 && values.what != fault::bad_label && values.predicted == label);
        if (!call.grad_p.data && !call.grad_c.data) return;

        const bool refused = weight != 0 && (values.what == fault::bad_label || !whole.is_defined());
        if (weight == 0 || refused) {
            const A fill = refused && whole.top.bad && values.what != fault::bad_label ? no_number<A> : A(0);
            row.write([&](int, A, A) { return pair_of<A>{fill, fill}; });
            return;
        }
        const double factor = quotient(weight * call.upstream(i), call.divisor()), one_over = inverse(terms.sum);
        const double base = 1 + (call.z_weight != 0 ? 2 * call.z_weight * values.lse_p : 0);
        const gradient_rules<A> rules = rules_of<A>(terms, call.alpha, call.flow, base, factor);
        // d CE of the label's column is minus the sum of the others.
        const double others =
            label == whole.top.column ? whole.sums.rest.value() : terms.sum - static_cast<double>(whole.exponential(p_label));
        const A owed = static_cast<A>(factor * (p_label == -infinity<A> ? 1 : others * one_over));
        const gradient_rules<A> at_label = rules_of<A>(terms, call.alpha, call.flow, base - 1, factor);

        const A share = static_cast<A>(one_over);
        const auto slopes_of = [&](const gradient_rules<A>& by, const element<A>& k) {
            return pair_of<A>{by.p.to_p(k, share), by.c.to_c(k, share)};
        };
        const auto write = [&](const auto& column) { row.write([&](int, A p, A c) { return slopes_of(rules, column(p, c)); }); };
        const centred<A> plain{whole.exponential, whole.centre};
        element<A> at_own;
        if (!terms.is_plain()) {
            const careful<A> column(whole, terms);
            write(column);
            at_own = column(p_label, c_label);
        } else {
            if constexpr (Row::keeps)
                row.write_kept([&](const element<A>& k) { return slopes_of(rules, k); });
            else
                write(plain);
            at_own = plain(p_label, c_label);
        }
        if (call.grad_p.data && row.owns(static_cast<int>(label))) row.put(static_cast<int>(label), slopes_of(at_label, at_own).p - owed);
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
