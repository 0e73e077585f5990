// SPDX-License-Identifier: Apache-2.0
#pragma once

// The same numbers with every standard library and C library: the tables of the documentation are compared to the digit.

#include <cstddef>
#include <random>

namespace cases {

class generator {
    std::mt19937_64 bits_;

  public:
    using result_type = std::uint64_t;
    static constexpr result_type min() { return std::mt19937_64::min(); }
    static constexpr result_type max() { return std::mt19937_64::max(); }

    explicit generator(std::uint64_t seed) : bits_(seed) {}

    std::uint64_t operator()() { return bits_(); }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits_() % n); }
    /// In [0, 1).
    double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
    /// Nearly normal: the sum of twelve.
    double normal() {
        double sum = -6;
        for (int i = 0; i != 12; ++i) sum += uniform();
        return sum;
    }
};

} // namespace cases
