// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/corrected.hpp" // rows that are not covered, and the product with the Jacobian
#include "softmax.hpp"             // the loop over the rows

namespace car::inline CAR_ABI::kernel {

template <class Executor, class T>
    requires(!std::is_same_v<T, double>)
void corrected_softmax(const simd_on<Executor>& on, const matrix_view<const T>& p, const matrix_view<const T>& c, const matrix_view<T>& y,
                       double scale, double strength) noexcept {
    simd_row::for_each_row(
        on, p, scale,
        [&](auto row, std::ptrdiff_t i) {
            row.counterfactual = c.row(i);
            row.strength = strength;
            return simd_row::dispatch([&](auto kernels) { return kernels.corrected_softmax(row, y.row(i)); });
        },
        [&](const auto& row, std::ptrdiff_t i) {
            corrected_softmax(scalar_backend{}, row, simd_row::row_of(c, i), simd_row::row_of(y, i), scale, strength);
        });
}

template <class T>
    requires(!std::is_same_v<T, double>)
void corrected_softmax(simd_backend on, const matrix_view<const T>& p, const matrix_view<const T>& c, const matrix_view<T>& y, double scale,
                       double strength) noexcept {
    corrected_softmax(on.on(simd_row::alone), p, c, y, scale, strength);
}

} // namespace car::inline CAR_ABI::kernel
