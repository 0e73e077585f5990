// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "row.hpp"           // the state of a row

#include <cmath>  // std::isnan, std::log1p
#include <limits> // NaN

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

/// Writes `value(logit - max, state)` for every column; NaN where a logit is NaN or +inf, or every class is masked.
template <class T, class Row, class Value>
void map(const Row& row, const vector_view<T>& y, Value value) {
    const row_state state = make_state(row);
    const bool defined = !std::isnan(state.max.high) && !state.is_empty();
    for (std::ptrdiff_t k = 0; k != row.size(); ++k)
        y[k] = defined ? static_cast<T>(value(row(k) - state.max, state)) : std::numeric_limits<T>::quiet_NaN();
}

inline double probability(const split& a, const row_state& state) { return detail::exp(a) / state.sum(); }

} // namespace scalar_row

template <class T>
void softmax(scalar_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) scalar_row::map(scalar_row::logits<T>{p.row(i), scale}, y.row(i), scalar_row::probability);
}

template <class T>
void log_softmax(scalar_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    const auto log_probability = [](const detail::split& a, const row_state& state) { return a.high + (a.low - std::log1p(state.rest)); };
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) scalar_row::map(scalar_row::logits<T>{p.row(i), scale}, y.row(i), log_probability);
}

template <class T>
void log_sum_exp(scalar_backend, const matrix_view<const T>& p, const vector_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const row_state state = scalar_row::make_state(scalar_row::logits<T>{p.row(i), scale});
        double value = state.is_empty() ? state.max.high : state.max.high + std::log1p(state.rest);
        if (std::isnan(value)) { // +inf unless there is a NaN
            value = scalar_row::infinity;
            for (std::ptrdiff_t k = 0; k != p.cols; ++k)
                if (std::isnan(p(i, k))) value = std::numeric_limits<double>::quiet_NaN();
        }
        y[i] = static_cast<T>(value);
    }
}

} // namespace car::inline CAR_ABI::kernel
