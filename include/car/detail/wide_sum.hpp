// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "double_double.hpp" // sums and products of about 106 bits

#include <cmath> // std::fma

namespace car::inline CAR_ABI::detail {

/// a + b, a b without error, of finite numbers.
inline double_double exact_sum(double a, double b) {
    const double sum = a + b, b_part = sum - a;
    return {sum, (a - (sum - b_part)) + (b - b_part)};
}
inline double_double exact_product(double a, double b) {
    const double product = a * b;
    return {product, std::fma(a, b, -product)};
}

/// A sum of many doubles or products of two, as a high part and the sum of what it lost. Brought into order every now and then, the
/// sum of what was lost stays small and its own roundings are of the order 2^-90 of the sum of magnitudes, whatever the order. A term
/// that is not finite makes it NaN.
class wide_sum {
    double high_ = 0, low_ = 0;

  public:
    void add(double x) {
        const double_double sum = exact_sum(high_, x);
        high_ = sum.high;
        low_ += sum.low;
    }
    void add_product(double x, double y) {
        const double_double product = exact_product(x, y);
        add(product.high);
        low_ += product.low;
    }
    void add(const double_double& x) { *this = wide_sum(value() + x); }
    void order() { *this = wide_sum(value()); }
    double_double value() const { return exact_sum(high_, low_); }

    wide_sum() = default;
    explicit wide_sum(const double_double& x) : high_(x.high), low_(x.low) {}
};

} // namespace car::inline CAR_ABI::detail
