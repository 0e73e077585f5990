// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.hpp" // two_sum
#include "elementary.hpp" // first approximations

#include <cmath>   // std::fma, std::isfinite
#include <compare> // comparison of pairs

namespace car::inline CAR_ABI::detail {

/// An unevaluated sum of two doubles: 106 bits. For `precision::highest` of double, which is rounded once at the end.
///
/// Numerics  +, -, * and / within 2^-102 of the result's magnitude (of the operands', where + or - cancels).
struct double_double {
    double high = 0;
    double low = 0;

    constexpr double_double() = default;
    constexpr double_double(double value) : high(value) {}
    constexpr double_double(double first, double second) : high(first), low(second) {}

    friend double_double operator-(const double_double& a) { return {-a.high, -a.low}; }
    friend double_double operator+(const double_double& a, const double_double& b) {
        const split s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
        const split u = two_sum(s.high, s.low + t.high), v = two_sum(u.high, u.low + t.low);
        return {v.high, v.low};
    }
    friend double_double operator-(const double_double& a, const double_double& b) { return a + -b; }
    friend double_double operator*(const double_double& a, const double_double& b) {
        const double product = a.high * b.high;
        const double rest = std::isfinite(product) ? std::fma(a.high, b.high, -product) + (a.high * b.low + a.low * b.high) : 0;
        const split s = two_sum(product, rest);
        return {s.high, s.low};
    }
    friend double_double operator*(const double_double& a, double b) {
        const double product = a.high * b;
        const split s = two_sum(product, std::isfinite(product) ? std::fma(a.high, b, -product) + a.low * b : 0);
        return {s.high, s.low};
    }
    friend double_double operator*(double a, const double_double& b) { return b * a; }
    friend double_double operator/(const double_double& a, double b) {
        const double first = a.high / b;
        const split s = two_sum(first, std::isfinite(first) ? (std::fma(-first, b, a.high) + a.low) / b : 0);
        return {s.high, s.low};
    }
    friend double_double operator/(const double_double& a, const double_double& b) {
        const double first = a.high / b.high;
        if (!std::isfinite(first)) return first;
        const double_double rest = a - b * first;
        const split s = two_sum(first, rest.high / b.high);
        return {s.high, s.low};
    }
    double_double& operator+=(const double_double& other) { return *this = *this + other; }

    friend bool operator==(const double_double&, const double_double&) = default;
    friend std::partial_ordering operator<=>(const double_double& a, const double_double& b) {
        return a.high != b.high ? a.high <=> b.high : a.low <=> b.low;
    }
};

inline double_double abs(const double_double& x) { return x.high < 0 ? -x : x; }

/// x^n/n! (1 + x/(n+1) (1 + ...)) of exp(x), |x| < 1: as many terms as are seen beside the first.
inline double_double exponential_tail(const double_double& x, int n) {
    int last = n;
    double term = 1;
    while (term > 0x1p-108) term *= std::abs(x.high) / ++last;
    double_double sum = 1;
    for (int k = last; k != n; --k) sum = 1 + x * sum / static_cast<double>(k);
    for (int k = n; k != 0; --k) sum = x * sum / static_cast<double>(k);
    return sum;
}

inline double_double exp(const double_double& x) {
    if (!(x.high > -745.14)) return x.high != x.high ? x.high : 0;
    if (x.high > 709.78) return exp(x.high);
    const double_double ln2(0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56);
    const int k = exponential(x.high).exponent;
    double_double rest = exponential_tail((x - ln2 * k) * 0.0625, 1); // exp(r / 16) - 1, squared four times
    for (int doubling = 0; doubling != 4; ++doubling) rest = rest * (rest + 2);
    const double_double e = 1 + rest;
    const double scale = power_of_two(k / 2), remaining = power_of_two(k - k / 2); // 2^k itself may be no double
    return {e.high * scale * remaining, e.low * scale * remaining};
}

inline double_double expm1(const double_double& x) { return abs(x) < 1 ? exponential_tail(x, 1) : exp(x) - 1; }

inline curve<double_double> curve_of(const double_double& t) {
    if (abs(t) < 1) {
        const double_double tail = exponential_tail(-t, 2);
        return {tail, t - tail};
    }
    const double_double rise = exp(-t) - 1;
    return {rise + t, -rise};
}

/// (atanh(r) - r) / r = r^2/3 + r^4/5 + ..., |r| <= 1/3.
inline double_double atanh_series(const double_double& r) {
    const double_double r2 = r * r;
    double_double sum = 0;
    for (int k = r2.high < 0x1p-20 ? 6 : 34; k != 0; --k) sum = r2 * (sum + double_double(1) / static_cast<double>(2 * k + 1));
    return sum;
}

inline double_double log1p_minus(const double_double& z) {
    const double_double r = z / (2 + z);
    return r * (2 * atanh_series(r) - z);
}

inline double_double log1p(const double_double& z) {
    if (abs(z) <= 0.5) {
        const double_double r = z / (2 + z);
        return 2 * r * (1 + atanh_series(r));
    }
    const double first = log1p(z.high);
    if (!std::isfinite(first)) return first;
    const double_double w = (1 + z) * exp(double_double(-first)) - 1; // log1p(z) = first + log1p(w), w of the size of first's error
    return first + (w - w * w * 0.5);
}

inline double_double log(const double_double& x) { return log1p(x - 1); }

} // namespace car::inline CAR_ABI::detail
