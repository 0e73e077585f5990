// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

namespace car::inline CAR_ABI::detail {

/// weight * value. A value without weight is not looked at, so that its NaN, or infinity, stays where it is.
constexpr double part(double weight, double value) { return weight == 0 ? 0 : weight * value; }

} // namespace car::inline CAR_ABI::detail
