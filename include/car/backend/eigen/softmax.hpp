// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/softmax.hpp" // rows that are not finite
#include "declarations.hpp"      // what this header defines
#include "row.hpp"               // blocks of a row as Eigen arrays

namespace car::inline CAR_ABI::kernel {

namespace eigen_row {

/// Writes `value(logits - max, row)` for every column of a row; false, and nothing written, where the row is not finite.
template <class T, class Logits, class Value>
bool map(Index size, Logits logits, const vector_view<T>& y, Value value) {
    const auto row = measure<wide<T>>(size, logits);
    if (!row.finite) return false;
    for_each_block(size, [&](Index begin, Index count) {
        const lanes<wide<T>> a = logits(begin, count) - row.max;
        write(y, begin, lanes<wide<T>>(value(a, row)));
    });
    return true;
}

inline constexpr auto probability = [](const auto& a, const auto& row) { return a.exp() / row.sum(); };
inline constexpr auto log_probability = [](const auto& a, const auto& row) { return a - row.log_sum(); };

template <class T>
auto logits_of(const vector_view<const T>& row, double scale) {
    return [=](Index begin, Index count) { return read(row, begin, count, scale); };
}

} // namespace eigen_row

template <class T>
void softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        if constexpr (eigen_row::takes<T>)
            if (eigen_row::map(p.cols, eigen_row::logits_of(p.row(i), scale), y.row(i), eigen_row::probability)) continue;
        softmax(scalar_backend{}, eigen_row::as_matrix(p.row(i)), eigen_row::as_matrix(y.row(i)), scale);
    }
}

template <class T>
void log_softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        if constexpr (eigen_row::takes<T>)
            if (eigen_row::map(p.cols, eigen_row::logits_of(p.row(i), scale), y.row(i), eigen_row::log_probability)) continue;
        log_softmax(scalar_backend{}, eigen_row::as_matrix(p.row(i)), eigen_row::as_matrix(y.row(i)), scale);
    }
}

template <class T>
void log_sum_exp(eigen_backend, const matrix_view<const T>& p, const vector_view<term_of<T>>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        if constexpr (eigen_row::takes<T>) {
            const auto row = eigen_row::measure<eigen_row::wide<T>>(p.cols, eigen_row::logits_of(p.row(i), scale));
            if (row.finite) {
                y[i] = static_cast<T>(row.max + row.log_sum());
                continue;
            }
        }
        log_sum_exp(scalar_backend{}, eigen_row::as_matrix(p.row(i)), vector_view<term_of<T>>(&y[i], 1), scale);
    }
}

} // namespace car::inline CAR_ABI::kernel
