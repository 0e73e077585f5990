// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "target.hpp" // what a row should be

namespace car::inline CAR_ABI::kernel::scalar_row {

/// The slopes of the divergence in one column.
template <class Number>
struct divergence_slope {
    Number p = 0, c = 0;
};

/// Infinite or NaN c on live classes: KL is +inf, or NaN where no finite Y is left to compare with.
template <class Row>
double divergence_of_non_finite(const Row& row) {
    std::ptrdiff_t live = 0, rising = 0, falling = 0;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        if (row.is_masked(k)) continue;
        const double c = row.c(k);
        if (std::isnan(c)) return detail::no_number;
        ++live;
        rising += c == infinity;
        falling += c == -infinity;
    }
    return rising == live || falling == live ? detail::no_number : infinity;
}

/// KL(P || Y) of a row, and its slopes.
template <class Row>
struct prediction_divergence {
    using Difference = difference_of<Row>;
    using number = detail::number_of<Difference>;

    const Row& row;
    basic_row_state<Difference> state;
    basic_row_terms<Difference> terms;

    static constexpr double wide = 8; // its rounding, 4u of Y_k in double, is within the bounds of every slope

    prediction_divergence(const Row& pairs, const basic_row_state<Difference>& made, double limit)
        : row(pairs), state(made), terms(finish(made)) {
        if (!(terms.condition <= limit)) {
            if (!std::isfinite(state.centre + detail::rounded(state.drift / state.sum()))) {
                terms.divergence = divergence_of_non_finite(row);
                return;
            }
            state = centred(row, state);
            terms = finish(state);
            if (!(detail::rounded(terms.shift) < wide)) terms = finish_wide(row, state);
        }
    }

    bool is_finite() const { return std::isfinite(detail::rounded(terms.divergence)); }
    number value() const { return terms.divergence; }
    /// lse(p) - c0 + shift.
    number log_sum_exp_y() const {
        const Difference log_sum_p = state.max - detail::to_difference<Difference>(-terms.log_sum);
        return detail::to_number(log_sum_p - Difference{state.centre} - detail::to_difference<Difference>(-detail::to_number(terms.shift)));
    }

    Difference d(std::ptrdiff_t k) const { return distance(row, k, state.centre); }
    /// log(P_k / Y_k).
    Difference w(const Difference& from_centre) const { return from_centre - -terms.shift; }
    /// c_k - E_P[c].
    number x(const Difference& from_centre) const { return detail::to_number(from_centre) - state.drift / terms.sum; }
    /// P_k - Y_k.
    number fall(const Difference& a, const number& e, const Difference& log_ratio) const {
        return detail::weighted(a, e, log_ratio).fall / terms.sum;
    }

    divergence_slope<number> slope(std::ptrdiff_t k, const Difference& a, const number& e, flow how) const {
        if (!is_finite()) return {detail::no_number, how == flow::full || how == flow::stop_factual ? detail::no_number : 0};
        const Difference from_centre = d(k), log_ratio = w(from_centre);
        if (how == flow::stop_target) return {e * x(from_centre) / terms.sum, 0};
        const auto part = detail::weighted(a, e, log_ratio);
        const number fall = part.fall / terms.sum;
        if (how == flow::stop_factual) return {-fall, fall};
        return {(part.phi - e * terms.divergence) / terms.sum, how == flow::full ? fall : 0};
    }
};

/// KL(label || Y): the cross-entropy of Y where the label is a class. And its slopes.
template <class T, class Difference>
struct label_divergence {
    using number = detail::number_of<Difference>;

    const row_target<T>& target;
    logit_differences<T, Difference> row;
    measured<logit_differences<T, Difference>> whole;
    number mass;

    label_divergence(const logit_pairs<T, Difference>& pairs, const row_target<T>& wanted)
        : target(wanted), row{pairs}, whole(row), mass(wanted.template mass<Difference>()) {}

    bool is_finite() const { return whole.is_finite(); }
    number value() const { return is_finite() ? relative_entropy(target, row, whole.state) : number(detail::no_number); }
    number log_sum_exp_y() const {
        return is_finite() ? detail::sum(whole.state.max, detail::log1p(whole.state.rest)) : number(detail::no_number);
    }

    divergence_slope<number> slope(std::ptrdiff_t k, flow how) const {
        if (!is_finite()) return {detail::no_number, how == flow::full ? detail::no_number : 0};
        const Difference a = row(k) - whole.state.max;
        const number slope_p = cross_entropy_slope(target, mass, k, a, detail::exp(a), whole.state);
        return {slope_p, how == flow::full ? -slope_p : number(0)};
    }
};

} // namespace car::inline CAR_ABI::kernel::scalar_row
