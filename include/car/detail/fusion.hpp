// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../options.hpp" // fusion, formula
#include "arithmetic.hpp" // compensated_sum
#include "logistic.hpp"   // softplus, sigmoid

namespace car::inline CAR_ABI::detail {

/// h and its slopes.
struct fused {
    double value, p, q, v;
};

/// as_published: 1e-12 is added inside the logarithms, so that h stops at -27.6.
inline fused fuse(fusion how, formula as, double p, double q, double v) {
    constexpr double floor = 1e-12;
    if (!(p < infinity && q < infinity && v < infinity)) return {no_number, no_number, no_number, no_number};
    if (how == fusion::gate) {
        if (p == -infinity || q == -infinity) return {-infinity, sigmoid(q), 0, 0};
        return {p * sigmoid(q), sigmoid(q), p * sigmoid(q) * sigmoid(-q), 0};
    }
    if (how == fusion::sum) {
        compensated_sum sum; // branches may cancel
        for (const double branch : {p, q, v}) sum.add(branch);
        const double plain = p + q + v, t = std::isfinite(plain) ? sum.value() : plain, s = sigmoid(t), fall = sigmoid(-t);
        const double slope = as == formula::exact ? fall : fall * (s / (s + floor));
        return {as == formula::exact ? -softplus(-t) : log(s + floor), slope, slope, slope};
    }
    const double log_z = -(softplus(-p) + softplus(-q) + softplus(-v)), z = exp(log_z);
    const double share = as == formula::exact ? 1 / (1 + z) : z / (z + floor) - z / (1 + z);
    return {(as == formula::exact ? log_z : log(z + floor)) - log1p(z), share * sigmoid(-p), share * sigmoid(-q), share * sigmoid(-v)};
}

} // namespace car::inline CAR_ABI::detail
