// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../options.hpp"   // precision
#include "../../row_state.hpp" // the state that a row becomes
#include "../../targets.hpp"   // mask_view

#include <cmath>       // std::isfinite
#include <cstddef>     // std::ptrdiff_t
#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI::kernel::scalar_row {

using detail::infinity;

/// Rounds a number to the type of an array, once.
template <class T>
T store(double value) {
    return static_cast<T>(value);
}
template <class T>
T store(const detail::double_double& value) {
    return static_cast<T>(value.high); // the nearest double to the pair
}

/// What a logit is read as, in double: scale x, or scale tanh(rate x) / rate. An infinity stays one.
struct reading {
    double scale = 1;
    double rate = 0;

    double value(double x) const { return rate == 0 || !std::isfinite(x) ? scale * x : scale * (detail::tanh(rate * x) / rate); }
    /// d value / d x, with all its digits where tanh is nearly 1.
    double slope(double x) const {
        if (rate == 0 || !std::isfinite(x)) return scale;
        const double e = detail::exp(-2 * std::abs(rate * x));
        return scale * (4 * e / ((1 + e) * (1 + e)));
    }
    double slope_of_slope(double x) const { return rate == 0 || !std::isfinite(x) ? 0 : -2 * rate * detail::tanh(rate * x) * slope(x); }
};

/// A row of logits. A class that is not valid is masked, as by -inf.
template <class T, class Difference>
struct logits {
    using difference_type = Difference;

    vector_view<const T> values;
    reading how = {};
    mask_view valid = {};

    std::ptrdiff_t size() const { return values.size; }
    double raw(std::ptrdiff_t k) const { return static_cast<double>(values[k]); }
    double p(std::ptrdiff_t k) const { return valid && !valid[k] ? -infinity : how.value(raw(k)); }
    bool is_masked(std::ptrdiff_t k) const { return p(k) == -infinity; }
    Difference operator()(std::ptrdiff_t k) const { return {p(k)}; }
    static constexpr bool has_counterfactual = false;
};

/// A row of p together with its c.
template <class T, class Difference>
struct logit_pairs : logits<T, Difference> {
    vector_view<const T> counterfactual;
    double strength = 1;

    double raw_c(std::ptrdiff_t k) const { return static_cast<double>(counterfactual[k]); }
    double c(std::ptrdiff_t k) const { return strength * this->how.value(raw_c(k)); }
    double slope_c(std::ptrdiff_t k) const { return strength * this->how.slope(raw_c(k)); }
    double slope_of_slope_c(std::ptrdiff_t k) const { return strength * this->how.slope_of_slope(raw_c(k)); }
    static constexpr bool has_counterfactual = true;
};

/// A row of p - c. The c of a masked class is not read.
template <class T, class Difference>
struct logit_differences {
    using difference_type = Difference;

    logit_pairs<T, Difference> pairs;

    std::ptrdiff_t size() const { return pairs.size(); }
    bool is_masked(std::ptrdiff_t k) const { return pairs.is_masked(k); }
    Difference operator()(std::ptrdiff_t k) const {
        const double p = pairs.p(k);
        return p == -infinity ? Difference{p} : detail::difference<Difference>(p, pairs.c(k));
    }
    static constexpr bool has_counterfactual = false;
};

template <class Row>
using difference_of = typename Row::difference_type;

/// d = c - centre of a live column.
template <class Row>
difference_of<Row> distance(const Row& row, std::ptrdiff_t k, double centre) {
    return detail::difference<difference_of<Row>>(row.c(k), centre);
}

/// Adds all columns to a state whose max and centre are set; the column `peak` stands for the 1 in S.
template <class Row>
void sweep(const Row& row, std::ptrdiff_t peak, basic_row_state<difference_of<Row>>& state) {
    using Difference = difference_of<Row>;
    detail::sum_of<Difference> rest, drift, excess;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        const Difference p = row(k);
        if (detail::rounded(p) == -infinity) continue;
        const Difference a = p - state.max;
        const auto e = detail::exp(a);
        if (k != peak) rest.add(e);
        if constexpr (Row::has_counterfactual) {
            const Difference d = distance(row, k, state.centre);
            drift.add(e * detail::to_number(d));
            excess.add(detail::weighted(a, e, d).phi);
        }
    }
    state.rest = rest.value();
    state.drift = drift.value();
    state.excess = excess.value();
}

/// The state of a row, measured from its maximum, and the column of that: -1 where every class is masked.
/// A NaN or +inf among the logits gives a state whose max is NaN.
template <class Row>
struct measured {
    basic_row_state<difference_of<Row>> state;
    std::ptrdiff_t peak = -1;

    measured() = default;
    explicit measured(const Row& row) {
        for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
            const difference_of<Row> p = row(k);
            if (!(detail::rounded(p) < infinity)) {
                state.max = {detail::no_number};
                peak = -1;
                return;
            }
            if (p > state.max) {
                state.max = p;
                peak = k;
            }
        }
        if (state.is_empty()) return;
        if constexpr (Row::has_counterfactual) state.centre = row.c(peak);
        sweep(row, peak, state);
    }

    static constexpr bool has_counterfactual = Row::has_counterfactual;
    bool is_finite() const { return peak != -1; }
    fault what() const { return is_finite() ? fault::none : state.is_empty() ? fault::masked_row : fault::not_finite; }
};

/// The same row, measured again from the mean of c under P: there nothing but the smallest terms cancel.
template <class Row, class State>
State centred(const Row& row, const State& state) {
    State result;
    result.max = state.max;
    result.centre = state.centre + detail::rounded(state.drift / state.sum());
    sweep(row, -1, result);
    result.rest = state.rest; // which leaves out the maximum's own column
    return result;
}

/// The terms of a row in which c falls so far below its mean that U overflows, or that one rounding of the shift shows in the
/// gradients: the sum of exp(p - M - d) gets a maximum of its own, and the shift keeps its remainder.
template <class Row, class State>
auto finish_wide(const Row& row, const State& state) {
    using Difference = difference_of<Row>;
    Difference highest = {-infinity};
    const auto for_each_live = [&](auto visit) {
        for (std::ptrdiff_t k = 0; k != row.size(); ++k)
            if (!row.is_masked(k)) visit(row(k) - state.max - distance(row, k, state.centre));
    };
    for_each_live([&](const Difference& q) { highest = q > highest ? q : highest; });
    detail::sum_of<Difference> total;
    for_each_live([&](const Difference& q) { total.add(detail::exp(q - highest)); });
    basic_row_terms<Difference> terms;
    terms.sum = state.sum();
    terms.log_sum = detail::log1p(state.rest);
    terms.shift = highest - Difference{-detail::log(total.value() / terms.sum)};
    terms.divergence = state.drift / terms.sum + detail::to_number(terms.shift);
    return terms;
}

/// What the differences of a row are held in unless told otherwise: a row of float has 29 bits to spare in double.
template <class T>
using exact_enough = std::conditional_t<std::is_same_v<T, double>, detail::split, double>;

/// The condition above which such a row is measured again.
template <class T>
inline constexpr double spare_condition = std::is_same_v<T, double> ? 0 : 0x1p20;

/// Calls `run` with a difference of the type that a precision asks for, and with the condition above which a row is measured again.
template <class T, class Run>
auto with_precision(precision wanted, Run run) {
    if constexpr (std::is_same_v<T, double>) {
        if (wanted == precision::highest) return run(detail::double_double{}, 0.0);
        return run(detail::split{}, wanted == precision::fast ? 4 : spare_condition<T>);
    } else {
        if (wanted == precision::highest) return run(detail::split{}, spare_condition<T>);
        return run(double{}, spare_condition<T>);
    }
}

} // namespace car::inline CAR_ABI::kernel::scalar_row
