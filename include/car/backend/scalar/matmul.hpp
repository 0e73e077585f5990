// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "../../options.hpp" // gradients
#include "../../view.hpp"    // matrices

#include <algorithm> // std::min
#include <array>     // the blocks
#include <cstddef>   // std::ptrdiff_t

namespace car::inline CAR_ABI::kernel {

namespace scalar_block {

/// So many rows of a and columns of b meet at once, `tile` by `tile` in the innermost loop.
inline constexpr std::size_t height = 32, width = 64, depth = 128, tile = 4;

/// Vectors of a block, `tile` of them side by side: at [k][lane] the number k of the vector that is `lane` on from the tile's first.
using strip = std::array<std::array<double, tile>, depth>;

/// Copies vectors that are `across` elements apart, with elements `along` apart, and fills the last strip up with zeros.
template <std::size_t Strips>
void pack(const double* from, std::size_t count, std::size_t length, std::ptrdiff_t across, std::ptrdiff_t along,
          std::array<strip, Strips>& to) {
    for (std::size_t first = 0; first < count; first += tile)
        for (std::size_t k = 0; k != length; ++k)
            for (std::size_t lane = 0; lane != tile; ++lane) {
                const auto at = static_cast<std::ptrdiff_t>(first + lane) * across + static_cast<std::ptrdiff_t>(k) * along;
                to[first / tile][k][lane] = first + lane < count ? from[at] : 0;
            }
}

} // namespace scalar_block

/// c = factor a b, or that added to c. A transposed matrix is a view with its strides exchanged.
///
/// An element is the sum over blocks of the sums of their products, each in order, so that it has the same bits whatever else is in its
/// matrix: a block that is not full is filled up with zeros and goes through the same loop.
/// Numerics  error of c(i,j) at most (128 + K/128 + 2) u sum_k |a(i,k) b(k,j)| |factor|, one u of c(i,j) more where it is added to;
///           (K + 2) u where K is below 128.
/// Cost      M N K products; 112 KiB of the stack, where a and b are copied block by block; allocates nothing.
inline void matmul(scalar_backend, const matrix_view<const double>& a, const matrix_view<const double>& b, const matrix_view<double>& c,
                   double factor = 1, gradients how = gradients::overwrite) noexcept {
    using scalar_block::height, scalar_block::width, scalar_block::depth, scalar_block::tile, scalar_block::strip, scalar_block::pack;
    std::array<strip, height / tile> left;
    std::array<strip, width / tile> right;
    std::array<std::array<double, width>, height> sum;
    const auto size = [](std::ptrdiff_t all, std::ptrdiff_t begin, std::size_t most) {
        return std::min(static_cast<std::size_t>(all - begin), most);
    };
    for (std::ptrdiff_t j = 0; j < c.cols; j += width)
        for (std::ptrdiff_t i = 0; i < c.rows; i += height) {
            const std::size_t rows = size(c.rows, i, height), cols = size(c.cols, j, width);
            for (std::size_t y = 0; y < rows; y += tile)
                for (std::size_t v = 0; v != tile; ++v) sum[y + v].fill(0);
            for (std::ptrdiff_t k = 0; k < a.cols; k += depth) {
                const std::size_t length = size(a.cols, k, depth);
                pack(&a(i, k), rows, length, a.row_stride, a.col_stride, left);
                pack(&b(k, j), cols, length, b.col_stride, b.row_stride, right);
                for (std::size_t y = 0; y < rows; y += tile)
                    for (std::size_t x = 0; x < cols; x += tile) {
                        const strip &of_a = left[y / tile], &of_b = right[x / tile];
                        std::array<std::array<double, tile>, tile> part{};
                        for (std::size_t at = 0; at != length; ++at)
                            for (std::size_t v = 0; v != tile; ++v)
                                for (std::size_t h = 0; h != tile; ++h) part[v][h] += of_a[at][v] * of_b[at][h];
                        for (std::size_t v = 0; v != tile; ++v)
                            for (std::size_t h = 0; h != tile; ++h) sum[y + v][x + h] += part[v][h];
                    }
            }
            for (std::size_t y = 0; y != rows; ++y)
                for (std::size_t x = 0; x != cols; ++x) {
                    double& to = c(i + static_cast<std::ptrdiff_t>(y), j + static_cast<std::ptrdiff_t>(x));
                    to = how == gradients::accumulate ? to + factor * sum[y][x] : factor * sum[y][x];
                }
        }
}

} // namespace car::inline CAR_ABI::kernel
