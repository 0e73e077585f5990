// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the reference says of one row, rounded to long double: for sources that are compiled by nvcc, which has no __float128.

#include <car/options.hpp> // the enums of a call, and nothing that computes

#include <cstddef>
#include <vector>

namespace reference {

struct loss_answer {
    using number = long double;

    number cross_entropy, divergence, lse_p, lse_y, largest, largest_c;
    std::size_t predicted;
    /// For each column: the slopes of the cross-entropy, of the divergence to p and to c, and what the errors of the last two are
    /// measured in.
    std::vector<number> entropy_slope, slope_p, slope_c, scale_p, scale_c;
};

/// p and c as they are read; a label is a class.
loss_answer answer_of(const std::vector<double>& p, const std::vector<double>& c, std::size_t label, car::flow flow);

} // namespace reference
