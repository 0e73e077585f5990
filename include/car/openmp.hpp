// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp" // simd, executors

#if !defined(_OPENMP)
#error "car: <car/openmp.hpp> asks for a compiler that has OpenMP turned on, such as with -fopenmp"
#endif

namespace car::inline CAR_ABI {

/// The threads of OpenMP as an executor: `car::simd.on(car::openmp)`.
struct openmp_executor {
    template <class Task>
    void operator()(std::ptrdiff_t count, Task&& task) const {
#pragma omp parallel for schedule(dynamic)
        for (std::ptrdiff_t i = 0; i < count; ++i) task(i);
    }
};
inline constexpr openmp_executor openmp{};

} // namespace car::inline CAR_ABI
