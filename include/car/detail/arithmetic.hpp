// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elementary.hpp" // exp, expm1, phi

#include <cmath> // std::isfinite

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
inline split operator-(const split& a) { return {-a.high, -a.low}; }

/// exp(high + low): the low part is worth |high| units in the last place of the result, so it may not be dropped.
inline double exp(const split& x) {
    const double e = exp(x.high);
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

} // namespace car::inline CAR_ABI::detail
