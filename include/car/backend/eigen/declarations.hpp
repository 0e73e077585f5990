// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // eigen_backend
#include "../../options.hpp" // what a kernel is given
#include "../../targets.hpp" // labels

// The kernels that <car/eigen.hpp> defines. Declared without Eigen, so that a call finds them whichever header is included first; a
// call on a backend whose type is not complete does not compile.
namespace car::inline CAR_ABI::kernel {

template <class T>
void softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept;
template <class T>
void log_softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<T>& y, double scale) noexcept;
template <class T>
void log_sum_exp(eigen_backend, const matrix_view<const T>& p, const vector_view<term_of<T>>& y, double scale) noexcept;

template <class T>
void corrected_softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const matrix_view<T>& y, double scale,
                       double strength) noexcept;
template <class T>
void corrected_softmax_vjp(eigen_backend, const matrix_view<const T>& y, const matrix_view<const T>& upstream, const matrix_view<T>& grad_p,
                           const matrix_view<T>& grad_c, double scale, double strength) noexcept;

template <class T>
loss_result loss(eigen_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept;

void matmul(eigen_backend, const matrix_view<const double>& a, const matrix_view<const double>& b, const matrix_view<double>& c,
            double factor = 1, gradients how = gradients::overwrite);

} // namespace car::inline CAR_ABI::kernel
