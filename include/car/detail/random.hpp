// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

#include <cstdint> // std::uint64_t

namespace car::inline CAR_ABI::detail {

/// A bijection that spreads every bit over all others (SplitMix64's finisher).
constexpr std::uint64_t mix(std::uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

/// A draw from Poisson's distribution with mean 1, at most 18: a function of the 53 bits that it is given, by comparison with
/// exp(-1) (1 + 1 + 1/2! + ...).
constexpr int poisson(std::uint64_t bits) {
    const double uniform = static_cast<double>(bits >> 11) * 0x1p-53;
    double term = 0.36787944117144232, reached = term;
    int count = 0;
    while (uniform >= reached && count != 18) {
        term /= ++count;
        reached += term;
    }
    return count;
}

} // namespace car::inline CAR_ABI::detail
