// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softmax.hpp" // a row's probabilities

namespace car::inline CAR_ABI::kernel {

/// The probability of one class; NaN where the row has none.
template <class T>
double probability(scalar_backend, const vector_view<const T>& values, std::ptrdiff_t label) noexcept {
    const scalar_row::default_logits<T> row{values};
    const scalar_row::measured whole(row);
    return whole.is_finite() ? scalar_row::probability(row(label) - whole.state.max, whole.state) : detail::no_number;
}

} // namespace car::inline CAR_ABI::kernel
