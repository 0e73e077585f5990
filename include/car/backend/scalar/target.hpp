// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "row.hpp" // a row of logits and its state

namespace car::inline CAR_ABI::kernel::scalar_row {

/// What one row should be: a class, or a probability for each.
template <class T>
struct row_target {
    std::ptrdiff_t label = -1;
    vector_view<const term_of<T>> probabilities = {};

    bool is_class() const { return !probabilities; }
    double operator()(std::ptrdiff_t k) const { return is_class() ? k == label : static_cast<double>(probabilities[k]); }

    /// The class, or the likeliest one.
    std::ptrdiff_t first_choice() const {
        std::ptrdiff_t best = is_class() ? label : 0;
        for (std::ptrdiff_t k = 1; k < probabilities.size; ++k)
            if (probabilities[k] > probabilities[best]) best = k;
        return best;
    }

    /// Sum of the probabilities: 1 for a class.
    template <class Difference>
    detail::number_of<Difference> mass() const {
        detail::sum_of<Difference> sum;
        for (std::ptrdiff_t k = 0; k != probabilities.size; ++k) sum.add((*this)(k));
        return is_class() ? 1 : sum.value();
    }
};

/// -log of the probability of one column: both terms are >= 0, so a sure row keeps its digits.
template <class Row, class State>
typename State::number surprise(const Row& row, const State& state, std::ptrdiff_t k) {
    if (row.is_masked(k)) return infinity;
    return detail::sum(state.max - row(k), detail::log1p(state.rest));
}

/// Cross-entropy of a target: - sum of target log P, where 0 log 0 = 0.
template <class T, class Row, class State>
typename State::number cross_entropy(const row_target<T>& target, const Row& row, const State& state) {
    if (target.is_class()) return surprise(row, state, target.label);
    detail::sum_of<difference_of<Row>> sum;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k)
        if (target(k) != 0) sum.add(target(k) * surprise(row, state, k));
    return sum.value();
}

/// KL(target || P): cross-entropy less the target's own entropy, class by class.
template <class T, class Row, class State>
typename State::number relative_entropy(const row_target<T>& target, const Row& row, const State& state) {
    if (target.is_class()) return surprise(row, state, target.label);
    using number = typename State::number;
    detail::sum_of<difference_of<Row>> sum;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k)
        if (target(k) != 0) sum.add(target(k) * (surprise(row, state, k) + detail::log(number(target(k)))));
    return sum.value();
}

/// d cross-entropy / d logit of one column; a = logit - max, e = exp(a). The label's column is minus the sum of the others.
template <class T, class Difference, class State>
typename State::number cross_entropy_slope(const row_target<T>& target, const typename State::number& mass, std::ptrdiff_t k,
                                           const Difference& a, const typename State::number& e, const State& state) {
    if (!target.is_class()) return e * mass / state.sum() - target(k);
    if (k != target.label) return e / state.sum();
    return detail::rounded(a) == -infinity ? -1 : -(state.rest - detail::expm1(detail::to_number(a))) / state.sum();
}

/// The cross-entropy of a target of which `amount` has gone to the live classes, in equal parts.
template <class T, class Row, class State>
struct smoothed_cross_entropy {
    using number = typename State::number;

    const row_target<T>& target;
    const State& state;
    double amount;
    number mass;
    std::ptrdiff_t live = 0;
    number value = 0;

    smoothed_cross_entropy(const row_target<T>& wanted, const Row& row, const State& made, double smoothing)
        : target(wanted), state(made), amount(smoothing), mass(wanted.template mass<difference_of<Row>>()) {
        if (amount != 1) value = (number(1) - amount) * cross_entropy(target, row, state);
        if (amount == 0) return;
        detail::sum_of<difference_of<Row>> sum;
        for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
            if (row.is_masked(k)) continue;
            sum.add(surprise(row, state, k));
            ++live;
        }
        value += amount * (sum.value() / static_cast<double>(live));
    }

    template <class Difference>
    number slope(std::ptrdiff_t k, const Difference& a, const number& e, bool is_live) const {
        const number sharp = is_live || target(k) != 0 ? cross_entropy_slope(target, mass, k, a, e, state) : 0;
        if (amount == 0) return sharp;
        const number even = is_live ? e / state.sum() - number(1) / static_cast<double>(live) : 0;
        return (number(1) - amount) * sharp + amount * even;
    }
};

} // namespace car::inline CAR_ABI::kernel::scalar_row
