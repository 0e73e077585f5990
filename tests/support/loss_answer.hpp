// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the references say, compiled once for all tests of a device, and rounded to long double.

#include "loss_combinations.hpp"

#include <cstddef>
#include <string>
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

/// combinations::faults_of
template <class T>
std::string faults_of(const combinations::problem<T>& given, const combinations::combination& set, const combinations::outputs<T>& got);

} // namespace reference
