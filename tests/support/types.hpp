// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests ask of a type of logits.

#include <car/float_types.hpp>

#include <cstdint>
#include <cstdlib>
#include <limits>

namespace types {

template <class T>
struct limits {
    using numbers = std::numeric_limits<T>;
    static constexpr const char* name = sizeof(T) == 8         ? "double"
                                        : sizeof(T) == 4       ? "float"
                                        : numbers::digits == 8 ? "bfloat16"
                                                               : "float16";
    static constexpr double roundoff = static_cast<double>(numbers::epsilon()) / 2;
    static constexpr double least_normal = static_cast<double>(numbers::min());
    static constexpr double least = static_cast<double>(numbers::denorm_min());
    static constexpr double most = static_cast<double>(numbers::max());
};

template <class T>
constexpr double u = limits<T>::roundoff;

template <class T>
constexpr bool two_bytes = sizeof(T) == 2;

/// What a value may lose when it is stored, beside the errors of its computation: nothing more where T is the terms' own type.
template <class T, class Wide>
Wide storage_error(Wide magnitude) {
    return two_bytes<T> ? magnitude * static_cast<Wide>(u<T>) + static_cast<Wide>(limits<T>::least) : Wide(0);
}

/// The long form of a test: every input and not every n-th, hours and not seconds of rows.
inline bool exhaustive() { return std::getenv("CAR_EXHAUSTIVE") != nullptr; }

/// One in so many inputs: a prime.
inline std::uint64_t every() {
    const char* text = std::getenv("CAR_EVERY");
    return text ? std::strtoull(text, nullptr, 10) : 9973;
}

} // namespace types
