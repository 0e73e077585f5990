// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.cuh"   // what each row of a call is given
#include "quick.cuh"   // what most rows come to
#include "reading.cuh" // how a row's logits are read
#include "target.cuh"  // smoothing, and a divergence against the label
#include "terms.cuh"   // what every row comes to

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

/// The gradients of a row: of a column, and of the label's.
template <class A>
struct row_slopes {
    gradient_rules<A> rules, at_label;
    A share, owed; ///< owed: d CE of the label's column, which is minus the sum of the others
    double factor; ///< of the row

    __device__ __forceinline__ pair_of<A> operator()(const element<A>& k) const { return {rules.p.to_p(k, share), rules.c.to_c(k, share)}; }
    /// Without what is owed.
    __device__ __forceinline__ pair_of<A> of_label(const element<A>& k) const {
        return {at_label.p.to_p(k, share), at_label.c.to_c(k, share)};
    }
};

template <class T, class How>
struct loss_rows {
    using storage = T;
    using A = typename How::number;
    static constexpr kernels has = How::has;
    static constexpr bool is_light = How::has_quick_rows;

    batch<T> call;
    How how;
    std::int64_t rows, cols;

    __device__ row_pointers<T> row(std::int64_t i) const { return call.row(i); }

    template <class Given, class Group>
    __device__ void operator()(const Given& given, Group& group, std::int64_t i, bool inside) const {
        wanted of = wanted_of(i, inside);
        if constexpr (How::has_quick_rows) {
            const bool solved = solve_quickly(given, group, of); // by all threads: those without a row reduce too
            of.inside = inside && !solved;
            if (group.any(of.inside)) {
                auto rare = group.rarely();
                solve(anew(given, *this, rare, i, of.inside), rare, of);
            }
        } else {
            solve(how.rows(given), group, of);
        }
    }

  private:
    /// A row as the call has it.
    struct wanted {
        std::int64_t i;
        double weight;
        int label; ///< -1: no class
        A p_label, c_label;
        bool inside;
    };
    __device__ A p_at(std::int64_t i, std::int64_t k) const { return how.p(widen(call.p[i][k])); }
    __device__ A c_at(std::int64_t i, std::int64_t k) const { return call.reads_c ? how.c(widen(call.c[i][k])) : A(0); }
    __device__ wanted wanted_of(std::int64_t i, bool inside) const {
        wanted of{i, 0, -1, 0, 0, inside};
        if (!inside) return of;
        const std::int64_t label = call.label(i);
        const bool is_class = label >= 0 && label < cols;
        of.weight = call.weight(i, label, is_class);
        if (is_class) of.label = static_cast<int>(label), of.p_label = p_at(i, label), of.c_label = c_at(i, label);
        return of;
    }

    /// What a row that counts comes to. Of a wide row the softmax of p - c has a maximum of its own.
    __device__ row_values values_of(const wanted& of, const peak<A>& top, const row_terms& terms, A centre) const {
        row_values values;
        values.what = of.label < 0 ? fault::bad_label : top.bad ? fault::not_finite : !top.is_number() ? fault::masked_row : fault::none;
        values.predicted = top.column;
        values.cross_entropy = (static_cast<double>(top.value) - static_cast<double>(of.p_label)) + terms.log_sum;
        values.lse_p = static_cast<double>(top.value) + terms.log_sum;
        values.divergence = call.alpha == 0 ? 0 : terms.divergence;
        values.lse_y = !call.reads_c || !terms.finite ? no_number<double>
                       : terms.wide                   ? terms.top_y + terms.log_sum_y
                                                      : (values.lse_p - static_cast<double>(centre)) + terms.shift;
        return values;
    }
    __device__ void put(const wanted& of, const row_values& values) const {
        call.put(of.i, of.weight, values, of.weight != 0 && values.what != fault::bad_label && values.predicted == of.label);
    }
    /// `alpha`: of KL(P || Y); `kept`: of the label; `e_label`: its exponential; `rest`: of all but the maximum.
    __device__ row_slopes<A> slopes_of(const wanted& of, const row_values& values, const row_terms& terms, double alpha, double kept,
                                       A e_label, double rest) const {
        const double factor = quotient(of.weight * call.upstream(of.i), call.divisor()), one_over = inverse(terms.sum);
        const double base = 1 + (call.z_weight != 0 ? 2 * call.z_weight * values.lse_p : 0);
        const double others = of.label == values.predicted ? rest : terms.sum - static_cast<double>(e_label);
        return {rules_of<A>(terms, alpha, call.flow, base, factor), rules_of<A>(terms, alpha, call.flow, base - kept, factor),
                static_cast<A>(one_over), static_cast<A>(factor * kept * (of.p_label == -infinity<A> ? 1 : others * one_over)), factor};
    }
    template <class Row>
    __device__ void put_label(const Row& row, const wanted& of, const row_slopes<A>& slopes, const element<A>& k) const {
        if (call.grad_p.data && row.owns(of.label)) row.put(of.label, slopes.of_label(k).p - slopes.owed);
    }
    __device__ bool writes() const { return call.grad_p.data || call.grad_c.data; }
    template <class Row>
    static __device__ void fill(const Row& row, A value) {
        row.write([&](int, A, A) { return pair_of<A>{value, value}; });
    }

    /// Whether the row is solved. If it is not, nothing has been written.
    template <class Row, class Group>
    __device__ bool solve_quickly(const Row& row, Group& group, const wanted& of) const {
        const quick_row whole(row, group, of.c_label);
        group.settle();
        if (!of.inside) return true;
        const bool counts = of.weight != 0;
        if (counts && !(whole.holds && of.label >= 0)) return false;
        const row_values values = counts ? values_of(of, whole.top, whole.terms, whole.bend.centre) : row_values{};
        if (group.leads()) put(of, values);
        if (!writes()) return true;
        if (!counts) {
            fill(row, A(0));
            return true;
        }
        const weighed_column<float> at_label = whole.weigh(of.p_label, of.c_label);
        const row_slopes<A> slopes = slopes_of(of, values, whole.terms, call.alpha, 1, at_label.e, whole.rest);
        row.write_bent(whole.weigh, whole.bend, slopes);
        put_label(row, of, slopes, whole.bend(at_label));
        return true;
    }

    template <class Row, class Group>
    __device__ void solve(const Row& row, Group& group, const wanted& of) const {
        measured<A> whole(row, group, [&](std::int64_t k) { return of.inside ? c_at(of.i, k) : A(0); });
        [[maybe_unused]] target_terms<A> target;
        bool against_label = false;
        double kept = 1; // of the label
        if constexpr (!How::is_plain) {
            against_label = how.against_label && call.reads_c;
            kept = 1 - how.smoothing;
            if (how.smoothing != 0) target.smooth(row, group, whole.top.value, how.smoothing);
            if (against_label)
                target.compare(
                    row, group, [&](std::int64_t k) { return p_at(of.i, k); }, [&](std::int64_t k) { return c_at(of.i, k); }, of.p_label,
                    of.c_label);
        }
        const row_terms terms = finish(row, group, whole, call.reads_c && !against_label);
        group.settle();
        if (!of.inside) return;

        row_values values;
        if (of.weight != 0) {
            values = values_of(of, whole.top, terms, whole.centre);
            if constexpr (!How::is_plain) {
                if (how.smoothing != 0)
                    values.cross_entropy =
                        (kept == 0 ? 0 : kept * values.cross_entropy) + how.smoothing * (target.distance + terms.log_sum);
                if (against_label) values.divergence = call.alpha == 0 ? 0 : target.divergence(), values.lse_y = target.log_sum_exp();
            }
            if (values.what != fault::none) values.spoil(call.alpha);
            if (values.what == fault::none && values.divergence != values.divergence) values.what = fault::not_finite;
        }
        if (group.leads()) put(of, values);
        if (!writes()) return;

        const bool refused = of.weight != 0 && (values.what == fault::bad_label || !whole.is_defined());
        if (of.weight == 0 || refused) {
            fill(row, refused && whole.top.bad && values.what != fault::bad_label ? no_number<A> : A(0));
            return;
        }
        const double alpha = against_label ? 0 : call.alpha;
        const row_slopes<A> slopes = slopes_of(of, values, terms, alpha, kept, whole.exponential(of.p_label), whole.sums.rest.value());
        const auto write = [&](const auto& row, const auto& column) {
            row.write([&](int k, A p, A c) {
                if constexpr (How::is_plain) {
                    return slopes(column(p, c));
                } else {
                    const bool is_label = k == of.label, live = p != -infinity<A>;
                    const element<A> found = column(p, c);
                    pair_of<A> sum = slopes(found); // a choice of rules would have them in local memory
                    if (is_label) sum = slopes.of_label(found);
                    if (live && against_label && call.alpha != 0) {
                        const double slope = slopes.factor * call.alpha * target.slope(k, is_label, p, c);
                        sum.p += slope;
                        if (call.flow == flow::full) sum.c -= slope;
                    }
                    if (live) sum.p -= slopes.factor * target.even;
                    if (is_label) sum.p -= slopes.owed;
                    return sum;
                }
            });
            if constexpr (How::is_plain) put_label(row, of, slopes, column(of.p_label, of.c_label));
        };
        if (terms.is_plain())
            write(row, centred<A>{whole.exponential, whole.centre});
        else
            write(in_memory(row), careful<A>(whole, terms));
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
