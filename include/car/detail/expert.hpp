// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "logistic.hpp" // softplus, sigmoid

namespace car::inline CAR_ABI::detail {

/// What an expert that gives an answer the probability b says of that answer alone, smoothed by s: l = log(b + s) - log(1 - b + s), and
/// its slopes along log b and s.
struct answer {
    double log_odds, to_bias, to_smoothing;

    answer(double bias, double smoothing) {
        const double yes = exp(bias) + smoothing, no = smoothing - expm1(bias);
        log_odds = log(yes) - log(no);
        to_bias = exp(bias) * (1 / yes + 1 / no);
        to_smoothing = 1 / yes - 1 / no;
    }
};

/// Cross-entropy of sigmoid(z), and its slope, for an answer that is right or not.
inline double binary_entropy(double z, bool right) { return softplus(right ? -z : z); }
inline double binary_slope(double z, bool right) { return right ? -sigmoid(-z) : sigmoid(z); }

} // namespace car::inline CAR_ABI::detail
