// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "logistic.hpp" // softplus, sigmoid

namespace car::inline CAR_ABI::detail {

/// What an expert that gives an answer the probability b says of that answer alone, smoothed by s: l = log(b + s) - log(1 - b + s), and
/// its slope along log b.
struct answer {
    double yes, no, log_yes, log_odds, to_bias;

    answer(double bias, double smoothing)
        : yes(exp(bias) + smoothing), no(smoothing - expm1(bias)), log_yes(smoothing == 0 ? bias : log(yes)), log_odds(log_yes - log(no)),
          to_bias((smoothing == 0 ? 1 : exp(bias) / yes) + exp(bias) / no) {}

    /// An answer that the expert rules out is no class.
    bool is_masked() const { return log_yes == -infinity; }
    /// The slope of l along s, of a factor that may be as small as b is.
    double to_smoothing(double factor, double log_factor) const {
        const double over_yes = log_yes > -700 ? std::abs(factor) / yes : exp(log_factor - log_yes);
        return std::copysign(over_yes, factor) - factor / no;
    }
};

/// Cross-entropy of sigmoid(z), and its slope, for an answer that is right or not.
inline double binary_entropy(double z, bool right) { return softplus(right ? -z : z); }
inline double binary_slope(double z, bool right) { return right ? -sigmoid(-z) : sigmoid(z); }
/// log |slope|
inline double log_binary_slope(double z, bool right) { return -softplus(right ? z : -z); }

} // namespace car::inline CAR_ABI::detail
