// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.hpp" // split, two_sum

#include <cmath>   // std::fma, std::sqrt
#include <cstdint> // std::int64_t
#include <limits>  // NaN

namespace car::inline CAR_ABI::detail {

/// Two doubles as one number of about 106 bits.
inline split double_double_sum(const split& a, const split& b) {
    const split sum = two_sum(a.high, b.high);
    return two_sum(sum.high, sum.low + (a.low + b.low));
}
inline split double_double_product(const split& a, const split& b) {
    const double product = a.high * b.high;
    return two_sum(product, std::fma(a.high, b.high, -product) + (a.high * b.low + a.low * b.high));
}
inline split double_double_quotient(const split& a, double b) {
    const double quotient = a.high / b;
    return two_sum(quotient, (std::fma(-quotient, b, a.high) + a.low) / b);
}

/// Count, sum and sum of squares of a sample. They merge; in double-double the result does not depend on the order or the split.
class moments {
    std::int64_t count_ = 0;
    split sum_, squares_;

  public:
    void add(double x) {
        ++count_;
        sum_ = double_double_sum(sum_, {x, 0});
        squares_ = double_double_sum(squares_, double_double_product({x, 0}, {x, 0}));
    }
    void merge(const moments& other) {
        count_ += other.count_;
        sum_ = double_double_sum(sum_, other.sum_);
        squares_ = double_double_sum(squares_, other.squares_);
    }
    std::int64_t count() const { return count_; }
    double mean() const {
        if (count_ == 0) return std::numeric_limits<double>::quiet_NaN();
        return double_double_quotient(sum_, static_cast<double>(count_)).high;
    }
    /// Standard error of the mean: sd / sqrt(n), sd with n - 1.
    double standard_error() const {
        if (count_ < 2) return std::numeric_limits<double>::quiet_NaN();
        const auto n = static_cast<double>(count_);
        const split square = double_double_quotient(double_double_product(sum_, sum_), n);
        const double deviations = double_double_sum(squares_, {-square.high, -square.low}).high;
        return std::sqrt((deviations > 0 ? deviations : 0 * deviations) / (n - 1) / n); // equal values may leave -1e-32; NaN stays
    }
};

} // namespace car::inline CAR_ABI::detail
