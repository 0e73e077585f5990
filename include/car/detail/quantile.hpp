// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

#include <cmath>   // std::erf, std::exp, std::sin, std::cos, std::tan
#include <cstdint> // std::int64_t

namespace car::inline CAR_ABI::detail {

inline constexpr double pi = 3.14159265358979323846;

/// The root of `value(x) = level` for a value that rises from 0 at x = 0 ever more slowly: Newton's steps from 0 never pass it.
template <class Value, class Slope>
double rising_root(double level, Value value, Slope slope) {
    double x = 0;
    for (;;) {
        const double next = x + (level - value(x)) / slope(x);
        if (!(next > x)) return x; // the step is below rounding
        x = next;
    }
}

/// z with P(|Z| <= z) = level, Z normal.
inline double normal_quantile(double level) {
    return rising_root(
        level, [](double z) { return std::erf(z / std::sqrt(2.0)); }, [](double z) { return std::sqrt(2 / pi) * std::exp(-z * z / 2); });
}

/// t with P(|T| <= t) = level, T of Student's distribution with n >= 1 degrees of freedom: t = sqrt(n) tan(theta), where the level is
///     n odd   2/pi (theta + sin(theta) (cos + 2/3 cos^3 + ... + (2 4 ... (n-3)) / (3 5 ... (n-2)) cos^(n-2)))
///     n even  sin(theta) (1 + 1/2 cos^2 + ... + (1 3 ... (n-3)) / (2 4 ... (n-2)) cos^(n-2))
/// From n = 1000 by its series in 1/n about the normal, whose next term is below 1e-12.
/// Source    Abramowitz and Stegun, 26.7.3, 26.7.4, 26.7.5.
inline double student_t_quantile(double level, std::int64_t n) {
    const auto degrees = static_cast<double>(n);
    if (n >= 1000) {
        const double z = normal_quantile(level), z2 = z * z;
        const double g1 = (z2 + 1) / 4, g2 = ((5 * z2 + 16) * z2 + 3) / 96, g3 = (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
                     g4 = ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
        return z * (1 + (g1 + (g2 + (g3 + g4 / degrees) / degrees) / degrees) / degrees);
    }
    const bool odd = n % 2 != 0;
    double peak = odd ? 2 / pi : 1; // of the level's slope in theta, at 0
    for (std::int64_t k = odd ? 1 : 2; k < n; k += 2) peak *= static_cast<double>(k + 1) / static_cast<double>(k);
    const auto probability = [&](double theta) {
        const double cosine = std::cos(theta), square = cosine * cosine;
        double term = odd ? cosine : 1, sum = n == 1 ? 0 : term;
        for (std::int64_t k = odd ? 3 : 2; k <= n - 2; k += 2) sum += term *= square * static_cast<double>(k - 1) / static_cast<double>(k);
        return odd ? 2 / pi * (theta + std::sin(theta) * sum) : std::sin(theta) * sum;
    };
    const auto slope = [&](double theta) { return peak * std::pow(std::cos(theta), degrees - 1); };
    return std::sqrt(degrees) * std::tan(rising_root(level, probability, slope));
}

} // namespace car::inline CAR_ABI::detail
