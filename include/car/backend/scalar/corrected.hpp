// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softmax.hpp" // a row's probabilities

namespace car::inline CAR_ABI::kernel {

template <class T>
void corrected_softmax(scalar_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const matrix_view<T>& y, double scale,
                       double strength) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const scalar_row::logit_differences<T, scalar_row::exact_enough<T>> row{{{p.row(i), {scale}}, c.row(i), strength}};
        scalar_row::map(row, y.row(i), scalar_row::probability);
    }
}

template <class T>
void corrected_softmax_vjp(scalar_backend, const matrix_view<const T>& y, const matrix_view<const T>& upstream,
                           const matrix_view<T>& grad_p, const matrix_view<T>& grad_c, double scale, double strength) noexcept {
    for (std::ptrdiff_t i = 0; i != y.rows; ++i) {
        detail::compensated_sum mean, mass; // y sums to 1 only to rounding; what is missing may not leak into the gradient
        for (std::ptrdiff_t k = 0; k != y.cols; ++k) {
            if (y(i, k) == 0) continue;
            mean.add(static_cast<double>(y(i, k)) * static_cast<double>(upstream(i, k)));
            mass.add(static_cast<double>(y(i, k)));
        }
        const double expected = mean.value() / mass.value();
        for (std::ptrdiff_t k = 0; k != y.cols; ++k) {
            const double weight = static_cast<double>(y(i, k));
            const double gradient = weight == 0 ? 0 : scale * weight * (static_cast<double>(upstream(i, k)) - expected);
            if (grad_p) grad_p(i, k) = static_cast<T>(gradient);
            if (grad_c) grad_c(i, k) = gradient == 0 ? T(0) : static_cast<T>(-strength * gradient);
        }
    }
}

} // namespace car::inline CAR_ABI::kernel
