// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "check.hpp" // messages

#include <cmath>  // std::abs
#include <limits> // the roundings of a sum

namespace car::inline CAR_ABI::detail {

/// The probabilities of what an adjustment sums over: at least one, none negative, their sum 1 to within a rounding of each.
template <class Term>
void check_prior(const checker& check, const vector_view<const Term>& prior, const char* part) {
    if (prior.size < 1) check.fail("prior has size " + std::to_string(prior.size) + ", expected at least 1");
    check.shape(footprint_of("prior", prior), prior.size, 1);
    double total = 0;
    for (std::ptrdiff_t k = 0; k != prior.size; ++k) {
        const auto w = static_cast<double>(prior[k]);
        if (!(w >= 0))
            check.fail(std::string("prior of ") + part + " " + std::to_string(k) + " is " + std::to_string(w) + ", expected at least 0");
        total += w;
    }
    if (!(std::abs(total - 1) <= static_cast<double>(prior.size) * static_cast<double>(std::numeric_limits<Term>::epsilon())))
        check.fail("prior has sum " + std::to_string(total) + ", expected 1");
}

} // namespace car::inline CAR_ABI::detail
