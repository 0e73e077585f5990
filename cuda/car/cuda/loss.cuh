// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.cuh"   // what each row of a call is given
#include "reading.cuh" // how its logits are read
#include "target.cuh"  // smoothing, and a divergence against the label
#include "terms.cuh"   // what a row comes to

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

template <class T, class How>
struct loss_rows {
    using storage = T;
    using A = typename How::number;
    static constexpr kernels has = How::has;

    batch<T> call;
    How how;
    std::int64_t rows, cols;

    __device__ row_pointers<T> row(std::int64_t i) const { return call.row(i); }

    template <class Given, class Group>
    __device__ void operator()(const Given& given, Group& group, std::int64_t i, bool inside) const {
        const auto& row = how.rows(given);
        const std::int64_t label = inside ? call.label(i) : 0;
        const bool is_class = label >= 0 && label < cols;
        const double weight = inside ? call.weight(i, label, is_class) : 0;
        const row_pointers<T> at = inside ? call.row(i) : row_pointers<T>{};
        const auto p_at = [&](std::int64_t k) { return how.p(widen(at.p[k])); };
        const auto c_at = [&](std::int64_t k) { return at.c ? how.c(widen(at.c[k])) : A(0); };
        const bool known = inside && is_class;
        const A p_label = known ? p_at(label) : A(0), c_label = known ? c_at(label) : A(0);

        measured<A> whole(row, group, c_at);
        [[maybe_unused]] target_terms<A> target;
        bool against_label = false;
        double kept = 1; // of the label
        if constexpr (!How::is_plain) {
            against_label = how.against_label && call.reads_c;
            kept = 1 - how.smoothing;
            if (how.smoothing != 0) target.smooth(row, group, whole.top.value, how.smoothing);
            if (against_label) target.compare(row, group, p_at, c_at, p_label, c_label);
        }
        row_terms terms = finish(row, group, whole, call.reads_c && !against_label);
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
            if constexpr (!How::is_plain)
                if (how.smoothing != 0)
                    values.cross_entropy =
                        (kept == 0 ? 0 : kept * values.cross_entropy) + how.smoothing * (target.distance + terms.log_sum);
            values.lse_p = static_cast<double>(whole.top.value) + terms.log_sum;
            values.divergence = call.alpha == 0 ? 0 : against_label ? target.divergence() : terms.divergence;
            values.lse_y = against_label                    ? target.log_sum_exp()
                           : !call.reads_c || !terms.finite ? no_number<double>
                           : terms.wide                     ? static_cast<double>(whole.sums.highest) + terms.log_sum_y
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
        const double alpha = against_label ? 0 : call.alpha; // of KL(P || Y)
        const gradient_rules<A> rules = rules_of<A>(terms, alpha, call.flow, base, factor);
        // d CE of the label's column is minus the sum of the others.
        const double others =
            label == whole.top.column ? whole.sums.rest.value() : terms.sum - static_cast<double>(whole.exponential(p_label));
        const A owed = static_cast<A>(factor * kept * (p_label == -infinity<A> ? 1 : others * one_over));
        const gradient_rules<A> at_label = rules_of<A>(terms, alpha, call.flow, base - kept, factor);

        const A share = static_cast<A>(one_over);
        const auto slopes_of = [&](const gradient_rules<A>& by, const element<A>& k) {
            return pair_of<A>{by.p.to_p(k, share), by.c.to_c(k, share)};
        };
        const auto write_label = [&](const auto& row, const auto& column) {
            if constexpr (How::is_plain)
                if (call.grad_p.data && row.owns(static_cast<int>(label)))
                    row.put(static_cast<int>(label), slopes_of(at_label, column(p_label, c_label)).p - owed);
        };
        const auto write = [&](const auto& row, const auto& column) {
            row.write([&](int k, A p, A c) {
                if constexpr (How::is_plain) {
                    return slopes_of(rules, column(p, c));
                } else {
                    const bool is_label = k == label, live = p != -infinity<A>;
                    const element<A> found = column(p, c);
                    pair_of<A> slopes = slopes_of(rules, found); // a choice of rules would have them in local memory
                    if (is_label) slopes = slopes_of(at_label, found);
                    if (live && against_label && call.alpha != 0) {
                        const double slope = factor * call.alpha * target.slope(k, is_label, p, c);
                        slopes.p += slope;
                        if (call.flow == flow::full) slopes.c -= slope;
                    }
                    if (live) slopes.p -= factor * target.even;
                    if (is_label) slopes.p -= owed;
                    return slopes;
                }
            });
        };
        if (!terms.is_plain()) {
            const careful<A> column(whole, terms);
            write(in_memory(row), column);
            write_label(in_memory(row), column);
        } else {
            const centred<A> column{whole.exponential, whole.centre};
            if constexpr (Given::keeps && How::is_plain)
                row.write_kept([&](const element<A>& k) { return slopes_of(rules, k); });
            else
                write(row, column);
            write_label(row, column);
        }
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
