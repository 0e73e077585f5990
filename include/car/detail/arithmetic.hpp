// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

#include <array>   // the coefficients of phi
#include <cmath>   // std::exp, std::expm1, std::isfinite
#include <cstddef> // std::size_t

namespace car::inline CAR_ABI::detail {

/// A number in two parts, `high + low`, with |low| at most half a unit in the last place of high.
struct split {
    double high = 0;
    double low = 0;
};

/// a + b without error. A sum that is not finite has no remainder: 0, not NaN.
inline split two_sum(double a, double b) {
    const double sum = a + b;
    const double b_part = sum - a;
    const double low = (a - (sum - b_part)) + (b - b_part);
    return {sum, std::isfinite(sum) ? low : 0};
}

inline split operator-(const split& a, const split& b) {
    const split difference = two_sum(a.high, -b.high);
    return two_sum(difference.high, difference.low + (a.low - b.low)); // the high parts may have cancelled
}

/// exp(high + low): the low part is worth |high| units in the last place of the result, so it may not be dropped.
inline double exp(const split& x) {
    const double e = std::exp(x.high);
    return e + e * x.low;
}

/// A sum whose rounding error does not grow with the number of terms: every addition's remainder is kept.
class compensated_sum {
    double high_ = 0;
    double low_ = 0;

  public:
    void add(double term) {
        const split sum = two_sum(high_, term);
        high_ = sum.high;
        low_ += sum.low;
    }
    double value() const { return high_ + low_; }
};

/// 1/2!, 1/3!, ..., 1/19!
inline constexpr auto inverse_factorials = [] {
    std::array<double, 18> values{};
    double factorial = 1; // exact up to 18!
    for (int k = 2; k != 20; ++k) values[static_cast<std::size_t>(k - 2)] = 1 / (factorial *= k);
    return values;
}();

/// phi(t) = exp(-t) - 1 + t >= 0, within 3 ulp. Between -1 and 1, where its terms cancel, its own series.
inline double phi(double t) {
    if (!(std::abs(t) < 1)) return std::expm1(-t) + t;
    double sum = 0;
    for (std::size_t k = inverse_factorials.size(); k != 0; --k) sum = inverse_factorials[k - 1] - t * sum;
    return t * t * sum;
}

/// log1p(z) - z <= 0 for |z| <= 1/2: log1p(z) = 2 atanh(r), r = z/(2 + z), with the terms that cancel taken out of the series.
inline double log1p_minus(double z) {
    const double r = z / (2 + z), r2 = r * r;
    double sum = 0;
    for (int k = 17; k != -1; --k) sum = r2 * sum + 1.0 / (2 * k + 3);
    return r * (2 * r2 * sum - z);
}

/// e phi(d), e = exp(a). Below -2 as exp(a - d) - e (1 - d): e may vanish where exp(a - d) does not.
inline double weighted_phi(const split& a, double e, const split& d) {
    return d.high < -2 ? exp(a - d) - e * (1 - d.high) : e * phi(d.high);
}

/// -e expm1(-d), e = exp(a), likewise.
inline double weighted_fall(const split& a, double e, const split& d) { return d.high < -2 ? e - exp(a - d) : -e * std::expm1(-d.high); }

} // namespace car::inline CAR_ABI::detail
