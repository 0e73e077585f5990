// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

#include <array>   // coefficients
#include <bit>     // the exponent of a double
#include <cmath>   // std::abs, which is a bit operation; nothing here calls into the C library
#include <cstddef> // std::size_t
#include <cstdint> // std::int64_t
#include <limits>  // infinity, NaN

// The library's own functions: the same bits with every C library, and bounds that `tests/elementary.test.cpp` asserts, over every
// float there is and random doubles.
//
//     exp, log, log1p    1 ulp      expm1    2 ulp      phi    3 ulp      log1p_minus    4 ulp      tanh    4 ulp
//
// Where the result is no normal number, the error may be one of the least number more.
namespace car::inline CAR_ABI::detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

inline double abs(double x) { return std::abs(x); }

/// ln 2 in two parts. The first has 32 bits: its product with an exponent is exact.
inline constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
inline constexpr double log2_e = 0x1.71547652b82fep+0;

/// 1/2!, 1/3!, ..., 1/19!
inline constexpr auto inverse_factorials = [] {
    std::array<double, 18> values{};
    double factorial = 1; // exact up to 18!
    for (int k = 2; k != 20; ++k) values[static_cast<std::size_t>(k - 2)] = 1 / (factorial *= k);
    return values;
}();

/// exp(x) - 1 - x = x^2 (1/2! + x/3! + ...), from as many terms.
template <std::size_t Terms>
double exponential_tail(double x) {
    double sum = 0;
    for (std::size_t k = Terms; k != 0; --k) sum = inverse_factorials[k - 1] + x * sum;
    return x * x * sum;
}

/// 2^k, -1022 <= k <= 1023.
inline double power_of_two(int k) { return std::bit_cast<double>(static_cast<std::int64_t>(k + 1023) << 52); }

/// exp(x) = 2^exponent (1 + rest), |rest| < 0.42.
struct exponential {
    int exponent;
    double rest;

    /// Requires  |x| < 1e6.
    explicit exponential(double x) {
        constexpr double shift = 0x1.8p52; // a double of this size has no fraction: adding it rounds, in any rounding mode
        const double k = (x * log2_e + shift) - shift;
        const double high = x - k * ln2_high, low = k * ln2_low; // high is exact
        const double r = high - low, lost = (high - r) - low;
        exponent = static_cast<int>(k);
        rest = r + (exponential_tail<12>(r) + lost);
    }
};

inline double exp(double x) {
    if (!(x < 709.79)) return x != x ? x : infinity;
    if (x < -745.14) return 0;
    const exponential e(x);
    const double mantissa = 1 + e.rest;
    if (e.exponent < -1021) return mantissa * power_of_two(e.exponent + 100) * 0x1p-100; // rounded where it becomes denormal
    return e.exponent > 1023 ? mantissa * 2 * power_of_two(1023) : mantissa * power_of_two(e.exponent);
}

inline double expm1(double x) {
    if (std::abs(x) < 1) return x + exponential_tail<18>(x);
    if (!(std::abs(x) < 700)) return x > 0 ? exp(x) : x < 0 ? -1 : x;
    const exponential e(x);
    const double scale = power_of_two(e.exponent);
    return (scale - 1) + scale * e.rest;
}

/// log(high + low), high > 0 and finite, low at most a few units in the last place of high.
inline double log(double high, double low) {
    const double correction = low / high;
    int k = 0;
    if (high < std::numeric_limits<double>::min()) {
        high *= 0x1p54;
        k = -54;
    }
    // high = 2^k m, m in [sqrt(1/2), sqrt(2)).
    const std::int64_t bits = std::bit_cast<std::int64_t>(high), e = (bits - std::bit_cast<std::int64_t>(0x1.6a09e667f3bcdp-1)) >> 52;
    k += static_cast<int>(e);
    const double m = std::bit_cast<double>(bits - e * (std::int64_t{1} << 52));
    // log(1 + f) = 2 atanh(s) = 2s + s R, with 2s = f - f^2/2 + s f^2/2, so that no rounding is larger than that of the result.
    const double f = m - 1, s = f / (2 + f), s2 = s * s, half = 0.5 * f * f;
    double r = 0;
    for (int j = 11; j != 0; --j) r = s2 * (r + 2.0 / (2 * j + 1));
    return k == 0 ? f - (half - (s * (half + r) + correction))
                  : k * ln2_high - ((half - (s * (half + r) + (k * ln2_low + correction))) - f);
}

inline double log(double x) {
    if (!(x > 0 && x < infinity)) return x == 0 ? -infinity : x > 0 ? x : no_number;
    return log(x, 0);
}

inline double log1p(double z) {
    if (!(z > -1 && z < infinity)) return z == -1 ? -infinity : z > 0 ? z : no_number;
    if (std::abs(z) < 0x1p-54) return z;
    const double sum = 1 + z;
    return log(sum, std::abs(z) < 1 ? z - (sum - 1) : 1 - (sum - z));
}

/// phi = exp(-t) - 1 + t >= 0 and fall = 1 - exp(-t), which are what a logit gains and loses: phi + fall = t.
template <class Number>
struct curve {
    Number phi, fall;
};

/// Between -1 and 1, where the terms of phi cancel, by its own series.
inline curve<double> curve_of(double t) {
    if (std::abs(t) < 1) {
        const double tail = exponential_tail<18>(-t);
        return {tail, t - tail};
    }
    const double rise = expm1(-t);
    return {rise < infinity ? rise + t : rise, -rise};
}
inline double phi(double t) { return curve_of(t).phi; }

/// log1p(z) - z <= 0 for |z| <= 1/2: log1p(z) = 2 atanh(r), r = z/(2 + z), with the terms that cancel taken out of the series.
inline double log1p_minus(double z) {
    const double r = z / (2 + z), r2 = r * r;
    double sum = 0;
    for (int k = 17; k != -1; --k) sum = r2 * sum + 1.0 / (2 * k + 3);
    return r * (2 * r2 * sum - z);
}

inline double tanh(double x) {
    const double twice = std::abs(x) < 20 ? expm1(-2 * std::abs(x)) : x == x ? -1 : x;
    const double value = -twice / (2 + twice);
    return x < 0 ? -value : value;
}

} // namespace car::inline CAR_ABI::detail
