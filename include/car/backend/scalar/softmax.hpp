// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "row.hpp"           // the state of a row

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

/// Writes `value(logit - max, state)` for every column; NaN where a logit is NaN or +inf, or every class is masked.
template <class T, class Row, class Value>
void map(const Row& row, const vector_view<T>& y, Value value) {
    const measured<Row> whole(row);
    for (std::ptrdiff_t k = 0; k != row.size(); ++k)
        y[k] = store<T>(whole.is_finite() ? value(row(k) - whole.state.max, whole.state) : detail::no_number);
}

template <class T>
using default_logits = logits<T, exact_enough<T>>;

inline constexpr auto probability = [](const auto& a, const auto& state) { return detail::exp(a) / state.sum(); };
inline constexpr auto log_probability = [](const auto& a, const auto& state) { return detail::sum(a, -detail::log1p(state.rest)); };

} // namespace scalar_row

template <class T>
void softmax(scalar_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i)
        scalar_row::map(scalar_row::default_logits<T>{p.row(i), {scale}}, y.row(i), scalar_row::probability);
}

template <class T>
void log_softmax(scalar_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i)
        scalar_row::map(scalar_row::default_logits<T>{p.row(i), {scale}}, y.row(i), scalar_row::log_probability);
}

template <class T>
void log_sum_exp(scalar_backend, const matrix_view<const T>& p, const vector_view<term_of<T>>& y, double scale) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const scalar_row::default_logits<T> row{p.row(i), {scale}};
        const scalar_row::measured whole(row);
        double value = -detail::infinity;
        if (whole.what() == fault::none) {
            value = detail::sum(whole.state.max, detail::log1p(whole.state.rest));
        } else if (whole.what() == fault::not_finite) { // +inf unless there is a NaN
            value = detail::infinity;
            for (std::ptrdiff_t k = 0; k != p.cols; ++k)
                if (std::isnan(row.p(k))) value = detail::no_number;
        }
        y[i] = static_cast<term_of<T>>(value);
    }
}

} // namespace car::inline CAR_ABI::kernel
