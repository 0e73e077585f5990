// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.hpp" // compensated_sum

#include <algorithm> // std::max
#include <cmath>     // std::scalbn, std::ilogb, std::sqrt
#include <cstddef>   // std::ptrdiff_t

namespace car::inline CAR_ABI::detail {

/// The length of a vector, as size 2^exponent: no square leaves the range of a double.
class length {
    double size_ = 0;
    int exponent_ = 0;

  public:
    /// Of the entries at(begin) to at(end - 1).
    template <class At>
    length(std::ptrdiff_t begin, std::ptrdiff_t end, At at) {
        double largest = 0;
        for (std::ptrdiff_t k = begin; k != end; ++k) largest = std::max(largest, std::abs(at(k)));
        if (largest > 0 && std::isfinite(largest)) exponent_ = std::ilogb(largest);
        compensated_sum squares;
        for (std::ptrdiff_t k = begin; k != end; ++k) {
            const double entry = std::scalbn(at(k), -exponent_);
            squares.add(entry * entry);
        }
        size_ = std::sqrt(squares.value());
    }

    bool is_zero() const { return size_ == 0; }
    double value() const { return std::scalbn(size_, exponent_); }
    /// x over the length.
    double share(double x) const { return std::scalbn(x, -exponent_) / size_; }
};

} // namespace car::inline CAR_ABI::detail
