// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "version.hpp" // CAR_ABI

#include <concepts>    // std::derived_from
#include <cstddef>     // std::ptrdiff_t
#include <type_traits> // std::remove_cvref_t

struct CUstream_st; // what cudaStream_t points to; CUDA's own declaration, without its headers

namespace car::inline CAR_ABI {

/// A backend is a type in the call: `car::loss(car::scalar, p, c, labels)`. Kernels overload on it.
struct backend_base {};

template <class B>
concept backend = std::derived_from<std::remove_cvref_t<B>, backend_base>;

/// The formula as a loop, in double arithmetic. Every op has it; the others are measured against it.
struct scalar_backend : backend_base {};
inline constexpr scalar_backend scalar{};

/// What runs tasks: `run(count, task)` calls `task(i)` for every i from 0 to count - 1, on any threads and in any order, and returns when
/// all are done.
template <class E>
concept executor = requires(const E& run, void (*task)(std::ptrdiff_t)) {
    run(std::ptrdiff_t(), task);
};

template <executor Executor>
struct simd_on;

/// One kernel text for the vector registers of the machine that runs it. What it has no kernel of falls back to `scalar`.
struct simd_backend : scalar_backend {
    /// On the threads of an executor, which has to live as long as what this returns. Results have the same bits for any executor.
    template <executor Executor>
    constexpr simd_on<Executor> on(const Executor& executor) const;
    /// On so many threads of the library's own; defined in <car/threads.hpp>.
    auto threads(int count) const;
};
inline constexpr simd_backend simd{};

template <executor Executor>
struct simd_on : simd_backend {
    const Executor& run;

    constexpr explicit simd_on(const Executor& executor) : run(executor) {}
};

template <executor Executor>
constexpr simd_on<Executor> simd_backend::on(const Executor& executor) const {
    return simd_on<Executor>(executor);
}

/// Row-wise expressions of Eigen's arrays. The type, its object `car::eigen` and its kernels are in <car/eigen.hpp>.
struct eigen_backend;

/// A device's memory and a stream of its work: `car::loss(car::cuda.on(stream), p, c, labels)`, declared in <car/cuda.hpp>.
struct cuda_backend : backend_base {
    CUstream_st* stream = nullptr;

    constexpr cuda_backend on(CUstream_st* where) const { return cuda_backend{{}, where}; }
};
inline constexpr cuda_backend cuda{};

/// What a call without a backend runs on.
inline constexpr simd_backend default_backend{};

} // namespace car::inline CAR_ABI
