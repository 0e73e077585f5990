// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softmax.hpp" // a row's probabilities

namespace car::inline CAR_ABI::kernel {

/// The probability of one class; NaN where the row has none.
template <class T>
double probability(scalar_backend, const vector_view<const T>& values, std::ptrdiff_t label) noexcept {
    const scalar_row::logits<T> row{values};
    const row_state state = scalar_row::make_state(row);
    if (std::isnan(state.max.high) || state.is_empty()) return std::numeric_limits<double>::quiet_NaN();
    return scalar_row::probability(row(label) - state.max, state);
}

} // namespace car::inline CAR_ABI::kernel
