// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>   // std::ptrdiff_t
#include <cstdio>    // std::fputs, where exceptions are off
#include <cstdlib>   // std::abort
#include <stdexcept> // std::invalid_argument
#include <string>    // messages

#if (defined(__FAST_MATH__) || defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) && !defined(CAR_ALLOW_FAST_MATH)
#error "car: -ffast-math takes away the NaN rules and the error bounds; define CAR_ALLOW_FAST_MATH to give them up"
#endif

namespace car::inline v0::detail {

// The body depends on whether exceptions are on, so it lives in a namespace named after the mode: two translation units
// with different flags then never share one body.
#if defined(__cpp_exceptions)
inline namespace throws {
[[noreturn]] inline void fail(const std::string& message) { throw std::invalid_argument(message); }
} // namespace throws
#else
inline namespace aborts {
[[noreturn]] inline void fail(const std::string& message) {
    std::fputs((message + '\n').c_str(), stderr);
    std::abort();
}
} // namespace aborts
#endif

inline std::string shape_text(std::ptrdiff_t rows, std::ptrdiff_t cols) { return std::to_string(rows) + " x " + std::to_string(cols); }

} // namespace car::inline v0::detail
