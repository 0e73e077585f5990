// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/matmul.hpp" // what has no direction of stride 1
#include "declarations.hpp"     // whose defaults the arguments have
#include "row.hpp"              // eigen_backend

namespace car::inline CAR_ABI::kernel {

namespace eigen_block {

template <int Order, class T>
using map = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Order>,
                                          Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Order>>,
                       Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
bool is_row_major(const matrix_view<T>& m) {
    return m.col_stride == 1 && m.row_stride >= 0;
}
template <class T>
bool is_col_major(const matrix_view<T>& m) {
    return m.row_stride == 1 && m.col_stride >= 0;
}

/// Calls `use` with the matrix as Eigen's, in the order that it has.
template <class Use>
void with_order(const matrix_view<const double>& m, Use use) {
    if (is_row_major(m)) {
        use(map<Eigen::RowMajor, const double>(m.data, m.rows, m.cols, Eigen::OuterStride<>(m.row_stride)));
    } else {
        use(map<Eigen::ColMajor, const double>(m.data, m.rows, m.cols, Eigen::OuterStride<>(m.col_stride)));
    }
}

} // namespace eigen_block

/// As the scalar backend's, by Eigen's product; of the order of the sums is known only that each has K terms.
/// Numerics  error of c(i,j) at most (K + 2) u sum_k |a(i,k) b(k,j)| |factor|, one u of c(i,j) more where it is added to.
/// Cost      what Eigen's product allocates for its blocks, above 128 KiB.
inline void matmul(eigen_backend, const matrix_view<const double>& a, const matrix_view<const double>& b, const matrix_view<double>& c,
                   double factor, gradients how) {
    using eigen_block::is_row_major, eigen_block::is_col_major, eigen_block::map, eigen_block::with_order;
    const auto has_order = [](const auto& m) { return is_row_major(m) || is_col_major(m); };
    if (!has_order(a) || !has_order(b) || !has_order(c)) return matmul(scalar_backend{}, a, b, c, factor, how);
    if (!is_row_major(c)) { // the transposed product
        const auto turned = [](const auto& m) {
            return std::remove_cvref_t<decltype(m)>(m.data, m.cols, m.rows, m.col_stride, m.row_stride);
        };
        return matmul(eigen_backend{}, turned(b), turned(a), turned(c), factor, how);
    }
    map<Eigen::RowMajor, double> to(c.data, c.rows, c.cols, Eigen::OuterStride<>(c.row_stride));
    with_order(a, [&](const auto& left) {
        with_order(b, [&](const auto& right) {
            if (how == gradients::accumulate) {
                to.noalias() += factor * left * right;
            } else {
                to.noalias() = factor * left * right;
            }
        });
    });
}

} // namespace car::inline CAR_ABI::kernel
