// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/effect.hpp" // exponential_sum
#include "../scalar/loss.hpp"   // batch, row_result
#include "coefficients.hpp"     // what the rows are read for
#include "transpose.hpp"        // rows as columns of a tile

#include <algorithm> // std::min
#include <cmath>     // std::frexp
#include <cstdint>   // addresses

namespace car::inline CAR_ABI::kernel::simd_row {

/// As many rows as are finished together: their logarithms share registers.
inline constexpr std::ptrdiff_t group_rows = 16;
/// Rows with up to so many classes lie side by side, in tiles.
inline constexpr std::ptrdiff_t tile_classes = 24;
/// The exponentials that they keep for their gradients.
inline constexpr std::ptrdiff_t group_bytes = 16384;

/// What a sweep makes of rows, then what follows from it: a register holds several rows.
struct alignas(64) row_sums {
    using one_each = double[group_rows];

    // max and centre as in basic_row_state. The sums are those of exp(p) 2^(head_room - power), and rest leaves out the label's column: the
    // power is an integer near the maximum, so that nothing is subtracted from a logit and rounded.
    one_each peak, max, power, centre, rest, label_exponential, drift, excess;
    one_each is_wide, rest_y, power_y; ///< a wide row has the sum of exp(p - c) 2^(head_room - power_y), and no excess
    one_each lowest;                   ///< the least c - centre
    one_each label_logit;
    one_each has_far; ///< may a class be masked, or its exponential be missing?
    // What follows.
    one_each sum, mean, shift, log_sum, cross_entropy, divergence, lse_p, lse_y; ///< lse_p is max + log_sum
};

/// What exponentials are times when their power grows from one to the other.
inline double power_between(double from, double to) { return from - to < -1000 ? 0 : detail::power_of_two(static_cast<int>(from - to)); }

/// Gradients of so many numbers or more do not stay in a second-level cache: writing them around it saves reading what they replace.
inline constexpr std::ptrdiff_t least_streamed = 1 << 18;

/// What all rows of a call have in common.
struct settings {
    double alpha, smoothing, z_weight;
    enum flow flow;
    bool reads_c, wants_lse, wants_gradients;
    bool narrow; ///< may rows be computed in float?
    bool fast;
    bool past_the_cache; ///< are gradients better written to memory than into the cache?
    bool in_columns;     ///< are rows better copied out of their matrices together?
};

/// A row that is not ignored.
struct wanted_row {
    std::ptrdiff_t row, label;
    double factor; ///< of its gradients
};

/// A row of p - c, as doubles.
template <class T>
struct difference_reader {
    const scalar_row::logit_pairs<T, double>& row;

    const double* p(std::ptrdiff_t begin, std::ptrdiff_t count, double* kept) const {
        for (std::ptrdiff_t k = 0; k != count; ++k) {
            const double factual = row.p(begin + k);
            kept[k] = factual == -detail::infinity ? factual : factual - row.c(begin + k); // the c of a masked class is not read
        }
        return kept;
    }
};

/// May a row of gradients be written where it belongs, without a copy?
template <class Scalar, class T>
bool is_direct(const vector_view<T>& gradient, gradients how) {
    return std::is_same_v<T, Scalar> && gradient && gradient.stride == 1 && how == gradients::overwrite;
}
template <class Scalar, class T>
Scalar* direct(const vector_view<T>& gradient, std::ptrdiff_t begin) {
    if constexpr (std::is_same_v<T, Scalar>)
        return gradient.data + begin;
    else
        return nullptr;
}
/// Is x a power of two, so that a product with it has no rounding?
inline bool is_power_of_two(double x) {
    int exponent = 0;
    return std::abs(std::frexp(x, &exponent)) == 0.5;
}

} // namespace car::inline CAR_ABI::kernel::simd_row
