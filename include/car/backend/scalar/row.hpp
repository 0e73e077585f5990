// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../row_state.hpp" // the state that a row becomes
#include "../../view.hpp"      // vector_view

#include <algorithm> // std::min
#include <cmath>     // std::exp, std::log, std::isfinite
#include <cstddef>   // std::ptrdiff_t
#include <limits>    // infinity

namespace car::inline CAR_ABI::kernel::scalar_row {

using detail::split;
inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// A row of logits, read in double and scaled.
template <class T>
struct logits {
    using value_type = T;

    vector_view<const T> values;
    double scale = 1;

    std::ptrdiff_t size() const { return values.size; }
    split operator()(std::ptrdiff_t k) const { return {scale * static_cast<double>(values[k]), 0}; }
    static constexpr bool has_counterfactual = false;
};

/// A row of p together with its c.
template <class T>
struct logit_pairs : logits<T> {
    vector_view<const T> counterfactual;
    double counterfactual_scale = 1;

    double c(std::ptrdiff_t k) const { return counterfactual_scale * static_cast<double>(counterfactual[k]); }
    static constexpr bool has_counterfactual = true;
};

/// A row of p - c. Where p is -inf the class is masked and c is not read.
template <class T>
struct logit_differences {
    logit_pairs<T> pairs;

    std::ptrdiff_t size() const { return pairs.size(); }
    split operator()(std::ptrdiff_t k) const {
        const split p = pairs(k);
        return p.high == -infinity ? p : p - split{pairs.c(k), 0};
    }
    static constexpr bool has_counterfactual = false;
};

/// d = c - centre of a live column, measured without error.
template <class Row>
split distance(const Row& row, std::ptrdiff_t k, double centre) {
    return split{row.c(k)} - split{centre};
}

/// Adds the columns [begin, end) to the state, whose max and centre are set; the column `peak` stands for the 1 in S.
template <class Row>
void sweep(const Row& row, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t peak, row_state& state) {
    detail::compensated_sum rest, drift, excess;
    for (std::ptrdiff_t k = begin; k != end; ++k) {
        const split p = row(k);
        if (p.high == -infinity) continue;
        const split a = p - state.max;
        const double e = detail::exp(a);
        if (k != peak) rest.add(e);
        if constexpr (Row::has_counterfactual) {
            const split d = distance(row, k, state.centre);
            drift.add(e * d.high);
            excess.add(detail::weighted_phi(a, e, d));
        }
    }
    state.rest = rest.value();
    state.drift = drift.value();
    state.excess = excess.value();
}

/// The state of a row: blocks make states, states merge. Each value is read from memory once.
/// A NaN or +inf among the logits gives a state whose max is NaN.
template <class Row>
row_state make_state(const Row& row) {
    constexpr std::ptrdiff_t block = 1024; // two blocks of double, p and c, stay in a first-level cache between the two loops
    row_state whole;
    for (std::ptrdiff_t begin = 0; begin < row.size(); begin += block) {
        const std::ptrdiff_t end = std::min(begin + block, row.size());
        row_state part;
        std::ptrdiff_t peak = begin;
        for (std::ptrdiff_t k = begin; k != end; ++k) {
            const split p = row(k);
            if (!(p.high < infinity)) return {.max = {std::numeric_limits<double>::quiet_NaN(), 0}};
            if (p.high > part.max.high || (p.high == part.max.high && p.low > part.max.low)) {
                part.max = p;
                peak = k;
            }
        }
        if (part.is_empty()) continue;
        if constexpr (Row::has_counterfactual) part.centre = row.c(peak);
        sweep(row, begin, end, peak, part);
        whole = merge(whole, part);
    }
    return whole;
}

/// The same row, measured again from the mean of c under P: there nothing but the smallest terms cancel.
template <class Row>
row_state centred(const Row& row, const row_state& state) {
    row_state result = {.max = state.max, .centre = state.centre + state.drift / state.sum()};
    sweep(row, 0, row.size(), -1, result);
    result.rest = state.rest; // which leaves out the maximum's own column
    return result;
}

/// The terms of a row in which c falls so far below its mean that U overflows, or that one rounding of the shift shows in the
/// gradients: the sum of exp(p - M - d) gets a maximum of its own, and the shift keeps its remainder.
template <class Row>
row_terms finish_wide(const Row& row, const row_state& state) {
    split highest = {-infinity};
    const auto for_each_live = [&](auto visit) {
        for (std::ptrdiff_t k = 0; k != row.size(); ++k)
            if (row(k).high != -infinity) visit(row(k) - state.max - distance(row, k, state.centre));
    };
    for_each_live(
        [&](const split& q) { highest = q.high > highest.high || (q.high == highest.high && q.low > highest.low) ? q : highest; });
    detail::compensated_sum sum;
    for_each_live([&](const split& q) { sum.add(detail::exp(q - highest)); });
    row_terms terms;
    terms.sum = state.sum();
    terms.log_sum = std::log1p(state.rest);
    terms.shift = highest - split{-std::log(sum.value() / terms.sum)};
    terms.divergence = state.drift / terms.sum + terms.shift.high;
    return terms;
}

} // namespace car::inline CAR_ABI::kernel::scalar_row
