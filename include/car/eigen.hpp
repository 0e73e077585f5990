// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/eigen/corrected.hpp" // the kernels of car::eigen
#include "backend/eigen/loss.hpp"
#include "backend/eigen/matmul.hpp"
#include "backend/eigen/softmax.hpp"
#include "view.hpp" // view_traits, which this header specialises

#include <Eigen/Core> // Eigen::DenseBase, Eigen::DirectAccessBit

#include <concepts>    // std::derived_from
#include <type_traits> // std::remove_pointer_t

namespace car::inline CAR_ABI {

/// Eigen matrices, arrays, maps, references and blocks, of either storage order, without a copy. An expression that has no memory
/// of its own, such as a sum, must be evaluated first: `(a + b).eval()`.
template <class M>
    requires std::derived_from<M, Eigen::DenseBase<M>>
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
