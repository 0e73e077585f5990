// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../version.hpp" // CAR_ABI

#include <cstddef> // std::ptrdiff_t
#include <cstring> // std::memcpy

namespace car::inline CAR_ABI::kernel::simd_row {

/// A square of numbers as rows of 16 bytes. Others than floats and doubles come one by one.
template <class T>
struct square {
    static constexpr std::ptrdiff_t side = 1;
    T row[side];
    [[gnu::always_inline]] void transpose() {}
};
template <>
struct square<float> {
    static constexpr std::ptrdiff_t side = 4;
    using four __attribute__((vector_size(16))) = float;
    four row[side];
    [[gnu::always_inline]] void transpose() {
        const four a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
                   c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7), d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
        row[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
        row[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
        row[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
        row[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
    }
};
template <>
struct square<double> {
    static constexpr std::ptrdiff_t side = 2;
    using two __attribute__((vector_size(16))) = double;
    two row[side];
    [[gnu::always_inline]] void transpose() {
        const two first = row[0];
        row[0] = __builtin_shufflevector(first, row[1], 0, 2);
        row[1] = __builtin_shufflevector(first, row[1], 1, 3);
    }
};

/// to[i][k] = from[k][i] of a square.
template <class T>
[[gnu::always_inline]] inline void transpose_square(const T* from, std::ptrdiff_t from_step, T* to, std::ptrdiff_t to_step) {
    square<T> kept;
#pragma GCC unroll 4
    for (std::ptrdiff_t k = 0; k != kept.side; ++k) std::memcpy(&kept.row[k], from + k * from_step, sizeof kept.row[k]);
    kept.transpose();
#pragma GCC unroll 4
    for (std::ptrdiff_t i = 0; i != kept.side; ++i) std::memcpy(to + i * to_step, &kept.row[i], sizeof kept.row[i]);
}

/// to[i][k] = from[k][i] for i < height, k < width, along the shorter side first: there lie the numbers of a line.
template <class T>
void transpose(const T* from, std::ptrdiff_t from_step, T* to, std::ptrdiff_t to_step, std::ptrdiff_t height, std::ptrdiff_t width) {
    constexpr std::ptrdiff_t side = square<T>::side;
    const std::ptrdiff_t down = height / side * side, across = width / side * side;
    const auto one = [&](std::ptrdiff_t i, std::ptrdiff_t k) {
        transpose_square(from + k * from_step + i, from_step, to + i * to_step + k, to_step);
    };
    if (height > width)
        for (std::ptrdiff_t i = 0; i != down; i += side)
            for (std::ptrdiff_t k = 0; k != across; k += side) one(i, k);
    else
        for (std::ptrdiff_t k = 0; k != across; k += side)
            for (std::ptrdiff_t i = 0; i != down; i += side) one(i, k);
    for (std::ptrdiff_t i = 0; i != height; ++i)
        for (std::ptrdiff_t k = i < down ? across : 0; k != width; ++k) to[i * to_step + k] = from[k * from_step + i];
}

} // namespace car::inline CAR_ABI::kernel::simd_row
