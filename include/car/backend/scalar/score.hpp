// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"         // scalar_backend
#include "../../detail/wide_sum.hpp" // wide_sum
#include "../../view.hpp"            // vector_view

#include <cmath>   // std::exp, std::log
#include <cstddef> // std::ptrdiff_t
#include <limits>  // NaN, infinity

namespace car::inline CAR_ABI::kernel {

/// The probabilities and log-odds of a row's classes, in double; NaN where the row has none.
///
/// With M the maximum, e_k = exp(p_k - M) and S the sum of all e: P_k = e_k / S and log(P_k / (1 - P_k)) = (p_k - M) - log(S - e_k),
/// where the maximum's own S - e_k is the sum of the others, so that a sure class keeps its digits.
template <class T>
class scores {
    vector_view<const T> row_;
    double max_ = -std::numeric_limits<double>::infinity(), rest_ = 0; // rest: the sum of e without the maximum's own 1
    std::ptrdiff_t peak_ = -1;

  public:
    scores(scalar_backend, const vector_view<const T>& row) noexcept : row_(row) {
        bool defined = true;
        for (std::ptrdiff_t k = 0; k != row.size; ++k) {
            const auto value = static_cast<double>(row[k]);
            defined = defined && value < std::numeric_limits<double>::infinity(); // neither NaN nor +inf
            if (value > max_) max_ = value, peak_ = k;
        }
        if (!defined || peak_ < 0) max_ = std::numeric_limits<double>::quiet_NaN();
        detail::wide_sum others;
        for (std::ptrdiff_t k = 0; k != row.size; ++k)
            if (k != peak_) others.add(exponential(k));
        rest_ = others.value().high;
    }
    double logit(std::ptrdiff_t k) const noexcept { return static_cast<double>(row_[k]); }
    double probability(std::ptrdiff_t k) const noexcept { return exponential(k) / (1 + rest_); }
    /// log P_k, unrounded: what is taken from it next may cancel.
    detail::double_double log_probability(std::ptrdiff_t k) const noexcept { return less(k, std::log1p(rest_)); }
    double log_odds(std::ptrdiff_t k) const noexcept {
        const auto odds = less(k, std::log(k == peak_ ? rest_ : 1 + (rest_ - exponential(k))));
        return odds.high + odds.low;
    }

  private:
    /// (row[k] - max) - x
    detail::double_double less(std::ptrdiff_t k, double x) const noexcept {
        const auto a = detail::exact_sum(static_cast<double>(row_[k]), -max_);
        return std::isfinite(a.high) && std::isfinite(x) ? detail::exact_sum(a.high, a.low - x) : detail::double_double{a.high - x};
    }
    /// exp(row[k] - max): the difference's own rounding is worth as many units of the result as it is large.
    double exponential(std::ptrdiff_t k) const noexcept {
        const auto a = detail::exact_sum(static_cast<double>(row_[k]), -max_);
        const double e = std::exp(a.high);
        return e == 0 ? 0 : e + e * a.low;
    }
};

} // namespace car::inline CAR_ABI::kernel
