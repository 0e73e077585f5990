// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "../../view.hpp"    // vector_view

#include <Eigen/Core> // Eigen::Array

#include <algorithm>   // std::min, std::clamp
#include <cmath>       // std::log1p
#include <limits>      // infinity
#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI {

/// Rows as expressions of Eigen's arrays: a second opinion that shares no arithmetic with the scalar backend. Float is computed in
/// double, which Eigen vectorises, double in long double, which no machine does. The bounds are those of the contracts. What an
/// expression does not cover falls back to the scalar kernel: ops and options without an Eigen kernel, two-byte types, and any row
/// with a NaN or an infinity, of which Eigen's exp has its own ideas.
struct eigen_backend : scalar_backend {};
inline constexpr eigen_backend eigen{};

namespace kernel::eigen_row {

using Eigen::Index;

/// Does Eigen compute rows of this type? Two-byte rows are the scalar backend's.
template <class T>
inline constexpr bool takes = std::is_same_v<T, float> || std::is_same_v<T, double>;

/// What a row is computed in: 29 or 11 bits more than it has, which no plain expression of the formulas uses up.
template <class T>
using wide = std::conditional_t<std::is_same_v<T, double>, long double, double>;

inline constexpr Index block = 256;
template <class Wide>
using lanes = Eigen::Array<Wide, Eigen::Dynamic, 1, Eigen::ColMajor, block, 1>; // at most a block, on the stack

/// Calls `visit(begin, size)` for every block of a row.
template <class Visit>
void for_each_block(Index size, Visit visit) {
    for (Index begin = 0; begin < size; begin += block) visit(begin, std::min(block, size - begin));
}

template <class T>
using strided = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Eigen::Array<std::remove_const_t<T>, Eigen::Dynamic, 1>,
                                              Eigen::Array<T, Eigen::Dynamic, 1>>,
                           Eigen::Unaligned, Eigen::InnerStride<>>;

template <class T>
strided<T> part(const vector_view<T>& row, Index begin, Index size) {
    return {row.data + begin * row.stride, size, Eigen::InnerStride<>(row.stride)};
}

/// A block of a row, scaled as the contracts say: each product rounded to double.
template <class T>
lanes<wide<T>> read(const vector_view<const T>& row, Index begin, Index size, double scale, double strength = 1) {
    return (part(row, begin, size).template cast<double>() * scale * strength).template cast<wide<T>>();
}

template <class T, class Wide>
void write(const vector_view<T>& row, Index begin, const lanes<Wide>& values) {
    part(row, begin, values.size()) = values.template cast<T>();
}

template <class Wide>
bool finite(const lanes<Wide>& values) {
    return (values * Wide(0) == Wide(0)).all(); // infinity * 0 is NaN
}

/// The maximum of a row and the sum of exp(logit - maximum), without the maximum's own 1.
template <class Wide>
struct measured {
    Wide max = -std::numeric_limits<Wide>::infinity(), rest = 0;
    Index peak = 0;
    bool finite = true;

    Wide sum() const { return 1 + rest; }
    Wide log_sum() const { return std::log1p(rest); }
};

/// `logits(begin, size)` reads a block. A row that is not finite is not measured.
template <class Wide, class Logits>
measured<Wide> measure(Index size, Logits logits) {
    measured<Wide> row;
    for_each_block(size, [&](Index begin, Index count) {
        const lanes<Wide> p = logits(begin, count);
        row.finite = row.finite && finite(p);
        Index at = 0;
        if (const Wide max = p.maxCoeff(&at); max > row.max) {
            row.max = max;
            row.peak = begin + at;
        }
    });
    if (!row.finite) return row;
    for_each_block(size, [&](Index begin, Index count) {
        const lanes<Wide> a = logits(begin, count) - row.max;
        const Index before = std::clamp<Index>(row.peak - begin, 0, count), after = std::clamp<Index>(row.peak + 1 - begin, 0, count);
        row.rest += a.head(before).exp().sum() + a.tail(count - after).exp().sum();
    });
    return row;
}

/// A row as a matrix, for the scalar kernel.
template <class T>
matrix_view<T> as_matrix(const vector_view<T>& row) {
    return {row.data, 1, row.size, 0, row.stride};
}

} // namespace kernel::eigen_row

} // namespace car::inline CAR_ABI
