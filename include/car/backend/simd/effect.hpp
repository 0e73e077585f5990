// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/effect.hpp" // rows that are not covered
#include "dispatch.hpp"         // the kernels for this machine

namespace car::inline CAR_ABI::kernel {

template <class T>
exponential_sum sum_exponentials(simd_backend, const vector_view<const T>& row) noexcept {
    exponential_sum sum;
    const bool holds = simd_row::dispatch([&](auto kernels) { return kernels.sum_exponentials(row, sum); });
    return holds ? sum : sum_exponentials(scalar_backend{}, row);
}

} // namespace car::inline CAR_ABI::kernel
