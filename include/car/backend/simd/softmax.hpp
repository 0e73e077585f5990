// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/softmax.hpp" // rows that are not covered
#include "blocks.hpp"            // rows for several threads
#include "dispatch.hpp"          // the kernels for this machine

namespace car::inline CAR_ABI::kernel {

namespace simd_row {

template <class T>
matrix_view<T> row_of(const matrix_view<T>& y, std::ptrdiff_t i) {
    return {y.row(i).data, 1, y.cols, y.row_stride, y.col_stride};
}

/// Every row by `of_row`, and what that leaves by the scalar kernel, which is given one row.
template <class Executor, class T, class OfRow, class Scalar>
void for_each_row(const simd_on<Executor>& on, const matrix_view<const T>& p, double scale, OfRow of_row, Scalar scalar) noexcept {
    const row_blocks blocks(p.rows);
    blocks.for_each(on.run, p.rows * p.cols, [&](std::ptrdiff_t block) {
        scalar_row::logit_pairs<T, double> row{{{}, {scale}}, {}};
        for (std::ptrdiff_t i = blocks.begin(block); i != blocks.end(block); ++i) {
            row.values = p.row(i);
            if (!of_row(row, i)) scalar(row_of(p, i), i);
        }
    });
}

} // namespace simd_row

template <class Executor, class T>
void softmax(const simd_on<Executor>& on, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    const bool is_narrow = simd_row::is_power_of_two(scale);
    simd_row::for_each_row(
        on, p, scale,
        [&](const auto& row, std::ptrdiff_t i) {
            return simd_row::dispatch([&](auto kernels) { return kernels.template softmax<false>(row, is_narrow, y.row(i)); });
        },
        [&](const auto& row, std::ptrdiff_t i) { softmax(scalar_backend{}, row, simd_row::row_of(y, i), scale); });
}

template <class Executor, class T>
void log_softmax(const simd_on<Executor>& on, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    const bool is_narrow = simd_row::is_power_of_two(scale);
    simd_row::for_each_row(
        on, p, scale,
        [&](const auto& row, std::ptrdiff_t i) {
            return simd_row::dispatch([&](auto kernels) { return kernels.template softmax<true>(row, is_narrow, y.row(i)); });
        },
        [&](const auto& row, std::ptrdiff_t i) { log_softmax(scalar_backend{}, row, simd_row::row_of(y, i), scale); });
}

template <class Executor, class T>
void log_sum_exp(const simd_on<Executor>& on, const matrix_view<const T>& p, const vector_view<term_of<T>>& y, double scale) noexcept {
    const bool is_narrow = simd_row::is_power_of_two(scale);
    simd_row::for_each_row(
        on, p, scale,
        [&](const auto& row, std::ptrdiff_t i) {
            double value = 0;
            const bool holds = simd_row::dispatch([&](auto kernels) { return kernels.log_sum_exp(row, is_narrow, value); });
            if (holds) y[i] = static_cast<term_of<T>>(value);
            return holds;
        },
        [&](const auto& row, std::ptrdiff_t i) {
            log_sum_exp(scalar_backend{}, row, vector_view<term_of<T>>{&y[i], 1}, scale);
        });
}

/// Without an executor, rows one after the other.
template <class T>
void softmax(simd_backend on, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    softmax(on.on(simd_row::alone), p, y, scale);
}
template <class T>
void log_softmax(simd_backend on, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept {
    log_softmax(on.on(simd_row::alone), p, y, scale);
}
template <class T>
void log_sum_exp(simd_backend on, const matrix_view<const T>& p, const vector_view<term_of<T>>& y, double scale) noexcept {
    log_sum_exp(on.on(simd_row::alone), p, y, scale);
}

} // namespace car::inline CAR_ABI::kernel
