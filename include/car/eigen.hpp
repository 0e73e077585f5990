// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/eigen/corrected.hpp" // the kernels of car::eigen
#include "backend/eigen/loss.hpp"
#include "backend/eigen/matmul.hpp"
#include "backend/eigen/softmax.hpp"
#include "view.hpp" // view_traits, which this header specialises

#include <Eigen/Core> // Eigen::DenseBase, Eigen::DirectAccessBit

#include <type_traits> // std::remove_pointer_t

namespace car::inline CAR_ABI {

namespace detail {

/// For what Eigen derives from DenseBase, though it be by another name, as of the head of a vector.
template <class Dense>
void eigen_dense(const Eigen::DenseBase<Dense>&);

} // namespace detail

/// Eigen matrices, arrays, maps, references, blocks and segments, of either storage order, without a copy. An expression that has no memory
/// of its own, such as a sum, must be evaluated first: `(a + b).eval()`.
template <class M>
    requires requires(const M& m) { detail::eigen_dense(m); }
struct view_traits<M> {
    template <class Matrix>
    static auto view(Matrix& m) {
        static_assert((M::Flags & Eigen::DirectAccessBit) != 0, "car: this Eigen expression has no memory of its own; call .eval() on it");
        using T = std::remove_pointer_t<decltype(m.data())>;
        const Eigen::Index row_stride = M::IsRowMajor ? m.outerStride() : m.innerStride();
        const Eigen::Index col_stride = M::IsRowMajor ? m.innerStride() : m.outerStride();
        return matrix_view<T>(m.data(), m.rows(), m.cols(), row_stride, col_stride);
    }
};

} // namespace car::inline CAR_ABI
