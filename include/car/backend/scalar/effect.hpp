// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"           // scalar_backend
#include "../../detail/elementary.hpp" // exp, log, log1p
#include "../../detail/wide_sum.hpp"   // wide_sum
#include "../../view.hpp"              // vector_view

#include <cmath>   // std::isfinite
#include <cstddef> // std::ptrdiff_t

namespace car::inline CAR_ABI::kernel {

/// exp(x - max): the difference's own rounding is worth as many units of the result as it is large.
inline double exponential_from(double max, double x) noexcept {
    const auto a = detail::exact_sum(x, -max);
    const double e = detail::exp(a.high);
    return e == 0 ? 0 : e + e * a.low;
}

/// The first maximum of a row, and the sum of exp(x - max) over its other columns, where what is not normal may count as 0. Without an
/// answer max is NaN.
struct exponential_sum {
    double max = detail::no_number, rest = 0;
    std::ptrdiff_t peak = -1;
};

template <class T>
exponential_sum sum_exponentials(scalar_backend, const vector_view<const T>& row) noexcept {
    exponential_sum sum{-detail::infinity};
    bool defined = true;
    for (std::ptrdiff_t k = 0; k != row.size; ++k) {
        const auto value = static_cast<double>(row[k]);
        defined = defined && value < detail::infinity; // neither NaN nor +inf
        if (value > sum.max) sum.max = value, sum.peak = k;
    }
    if (!defined || sum.peak < 0) return {};
    detail::wide_sum others;
    for (std::ptrdiff_t k = 0; k != row.size; ++k)
        if (k != sum.peak) others.add(exponential_from(sum.max, static_cast<double>(row[k])));
    sum.rest = others.value().high;
    return sum;
}

/// The probabilities and log-odds of a row's classes, in double; NaN where the row has none.
///
/// With M the maximum, e_k = exp(p_k - M) and S the sum of all e: P_k = e_k / S and log(P_k / (1 - P_k)) = (p_k - M) - log(S - e_k),
/// where the maximum's own S - e_k is the sum of the others, so that a sure class keeps its digits.
template <class T>
class scores {
    vector_view<const T> row_;
    exponential_sum sum_;

  public:
    scores(const vector_view<const T>& row, const exponential_sum& sum) noexcept : row_(row), sum_(sum) {}

    double logit(std::ptrdiff_t k) const noexcept { return static_cast<double>(row_[k]); }
    double probability(std::ptrdiff_t k) const noexcept { return exponential(k) / (1 + sum_.rest); }
    /// log P_k, unrounded: what is taken from it next may cancel.
    detail::double_double log_probability(std::ptrdiff_t k) const noexcept { return less(k, detail::log1p(sum_.rest)); }
    double log_odds(std::ptrdiff_t k) const noexcept {
        const auto odds = less(k, k == sum_.peak ? log_rest() : detail::log(1 + (sum_.rest - exponential(k))));
        return odds.high + odds.low;
    }

  private:
    double exponential(std::ptrdiff_t k) const noexcept { return exponential_from(sum_.max, logit(k)); }
    /// Of a class that is nearly sure the others' sum may be less than any normal number: it is then taken from the largest of them.
    double log_rest() const noexcept {
        if (!(sum_.rest <= 1e-280)) return detail::log(sum_.rest);
        double second = -detail::infinity;
        for (std::ptrdiff_t k = 0; k != row_.size; ++k)
            if (k != sum_.peak && logit(k) > second) second = logit(k);
        if (second == -detail::infinity) return second;
        detail::wide_sum others;
        for (std::ptrdiff_t k = 0; k != row_.size; ++k)
            if (k != sum_.peak) others.add(exponential_from(second, logit(k)));
        return (second - sum_.max) + detail::log(others.value().high);
    }
    /// (row[k] - max) - x
    detail::double_double less(std::ptrdiff_t k, double x) const noexcept {
        const auto a = detail::exact_sum(logit(k), -sum_.max);
        return std::isfinite(a.high) && std::isfinite(x) ? detail::exact_sum(a.high, a.low - x) : detail::double_double{a.high - x};
    }
};

} // namespace car::inline CAR_ABI::kernel
