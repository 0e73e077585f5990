// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elementary.hpp" // exp, log1p

namespace car::inline CAR_ABI::detail {

// Within 4u of their values, infinities included.

/// 1 / (1 + exp(-x)), of e = exp(-|x|).
inline double sigmoid(double x, double e) { return (x < 0 ? e : 1) / (1 + e); }
inline double sigmoid(double x) { return sigmoid(x, exp(-std::abs(x))); }

/// log(1 + exp(x)) = -log sigmoid(-x)
inline double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-std::abs(x))); }

} // namespace car::inline CAR_ABI::detail
