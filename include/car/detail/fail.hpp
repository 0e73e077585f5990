// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../version.hpp" // CAR_ABI

#include <cstddef>   // std::ptrdiff_t
#include <cstdio>    // std::fputs, where exceptions are off
#include <cstdlib>   // std::abort
#include <stdexcept> // std::invalid_argument
#include <string>    // messages

#if (defined(__FAST_MATH__) || defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) && !defined(CAR_ALLOW_FAST_MATH)
#error "car: -ffast-math takes away the NaN rules and the error bounds; define CAR_ALLOW_FAST_MATH to give them up"
#endif

namespace car::inline CAR_ABI::detail {

#if defined(__cpp_exceptions)
[[noreturn]] inline void fail(const std::string& message) { throw std::invalid_argument(message); }
#else
[[noreturn]] inline void fail(const std::string& message) {
    std::fputs((message + '\n').c_str(), stderr);
    std::abort();
}
#endif

inline std::string shape_text(std::ptrdiff_t rows, std::ptrdiff_t cols) { return std::to_string(rows) + " x " + std::to_string(cols); }

} // namespace car::inline CAR_ABI::detail
