// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../float_types.hpp" // term_of
#include "../options.hpp"     // softmax_options, corrected_options
#include "check.hpp"          // shapes, overlaps

namespace car::inline CAR_ABI::detail {

template <class T, class Space, class Output>
void check_softmax(const checker& check, const matrix_view<const T, Space>& p, const Output& y, const softmax_options& options) {
    check.readable(footprint_of("p", p));
    constexpr bool is_vector = std::is_same_v<Output, vector_view<term_of<T>, Space>>;
    check.shape(footprint_of("y", y), p.rows, is_vector ? 1 : p.cols);
    check.positive("temperature", options.temperature);
    check.separate({{footprint_of("y", y), is_vector ? nullptr : p.data}}, {footprint_of("p", p)});
}

inline void check_corrected(const checker& check, const footprint& left, const footprint& right, std::initializer_list<footprint> outputs,
                            const corrected_options& options) {
    check.readable(left);
    check.shape(right, left.rows, left.cols);
    for (const footprint& out : outputs)
        if (out.data != nullptr) check.shape(out, left.rows, left.cols);
    check.finite("strength", options.strength);
    check.positive("temperature", options.temperature);
}

/// An output that may take the place of either input.
inline checker::output in_place_of_either(const footprint& out, const footprint& left, const footprint& right) {
    return {out, out.same(right) ? right.data : left.data};
}

} // namespace car::inline CAR_ABI::detail
