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

template <class Executor, class T>
void corrected_softmax_vjp(const simd_on<Executor>& on, const matrix_view<const T>& y, const matrix_view<const T>& upstream,
                           const matrix_view<T>& grad_p, const matrix_view<T>& grad_c, double scale, double strength) noexcept {
    const simd_row::row_blocks blocks(y.rows);
    blocks.for_each(on.run, y.rows * y.cols, [&](std::ptrdiff_t block) {
        const auto row_of = [](const matrix_view<T>& gradient, std::ptrdiff_t i) { return gradient ? gradient.row(i) : vector_view<T>{}; };
        for (std::ptrdiff_t i = blocks.begin(block); i != blocks.end(block); ++i) {
            const scalar_row::logit_pairs<T, double> row{{y.row(i)}, upstream.row(i)};
            simd_row::dispatch_unflushed(
                [&](auto kernels) { kernels.corrected_softmax_vjp(row, row_of(grad_p, i), row_of(grad_c, i), scale, strength); });
        }
    });
}

template <class T>
void corrected_softmax_vjp(simd_backend on, const matrix_view<const T>& y, const matrix_view<const T>& upstream,
                           const matrix_view<T>& grad_p, const matrix_view<T>& grad_c, double scale, double strength) noexcept {
    corrected_softmax_vjp(on.on(simd_row::alone), y, upstream, grad_p, grad_c, scale, strength);
}

} // namespace car::inline CAR_ABI::kernel
