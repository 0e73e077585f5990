// SPDX-License-Identifier: Apache-2.0
#pragma once

// What most programs call, and what takes a compiler longest: compiled once for many of them, in instances.cpp.

#include <car/corrected.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#define CAR_INSTANCES_OF_REGISTERS(how, registers, T)                                                                                      \
    how template unsigned registers::kernels::loss(const scalar_row::batch<T>&, const settings&, const wanted_row*, unsigned,              \
                                                   scalar_row::row_result<double>*);                                                       \
    how template bool registers::kernels::softmax<false>(const scalar_row::logit_pairs<T, double>&, bool, const vector_view<T>&);          \
    how template bool registers::kernels::softmax<true>(const scalar_row::logit_pairs<T, double>&, bool, const vector_view<T>&);           \
    how template bool registers::kernels::log_sum_exp(const scalar_row::logit_pairs<T, double>&, bool, double&);                           \
    how template bool registers::kernels::corrected_softmax(const scalar_row::logit_pairs<T, double>&, const vector_view<T>&);

#if defined(__x86_64__)
#define CAR_INSTANCES_OF_X86(how, T) CAR_INSTANCES_OF_REGISTERS(how, avx512, T) CAR_INSTANCES_OF_REGISTERS(how, avx2, T)
#else
#define CAR_INSTANCES_OF_X86(how, T)
#endif

#define CAR_INSTANCES_ON(how, backend, T)                                                                                                  \
    how template loss_result loss(backend, const matrix_view<const T>&, const matrix_view<const T>&, const targets<T>&,                    \
                                  const loss_options&, const loss_arrays<T>&) noexcept;                                                    \
    how template void softmax(backend, const matrix_view<const T>&, const matrix_view<T>&, double) noexcept;                               \
    how template void log_softmax(backend, const matrix_view<const T>&, const matrix_view<T>&, double) noexcept;                           \
    how template void log_sum_exp(backend, const matrix_view<const T>&, const vector_view<term_of<T>>&, double) noexcept;

/// `how` is extern, or nothing.
#define CAR_INSTANCES(how, T)                                                                                                              \
    namespace car::inline CAR_ABI::kernel {                                                                                                \
    CAR_INSTANCES_ON(how, scalar_backend, T)                                                                                               \
    CAR_INSTANCES_ON(how, simd_backend, T)                                                                                                 \
    how template row_status loss_hvp(scalar_backend, const matrix_view<const T>&, const matrix_view<const T>&, const targets<T>&,          \
                                     const loss_direction<T>&, const loss_options&, const loss_arrays<T>&) noexcept;                       \
    namespace simd_row {                                                                                                                   \
    how template scalar_row::row_result<double> loss_of_row(const scalar_row::batch<T>&, std::ptrdiff_t, double, const loss_options&,      \
                                                            bool);                                                                         \
    CAR_INSTANCES_OF_X86(how, T)                                                                                                           \
    CAR_INSTANCES_OF_REGISTERS(how, portable, T)                                                                                           \
    }                                                                                                                                      \
    }

CAR_INSTANCES(extern, float)
CAR_INSTANCES(extern, double)
CAR_INSTANCES(extern, car::bfloat16)
CAR_INSTANCES(extern, car::float16)
