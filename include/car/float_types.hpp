// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "version.hpp" // CAR_ABI

#include <bit>         // std::bit_cast
#include <concepts>    // std::same_as
#include <cstdint>     // the bits
#include <limits>      // std::numeric_limits, which is specialised
#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI {

namespace detail {

/// The nearest number with so many bits of exponent and fraction to a double, ties to even: rounded once, also where the result is
/// denormal. Beyond the largest number, infinity. A NaN stays a quiet one of its sign.
template <int Exponent, int Fraction>
constexpr std::uint16_t narrow(double value) {
    constexpr int bias = (1 << (Exponent - 1)) - 1, infinite = (1 << Exponent) - 1, dropped = 52 - Fraction;
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const auto sign = static_cast<std::uint32_t>(bits >> 63) << (Exponent + Fraction);
    const int wide = static_cast<int>(bits >> 52 & 0x7ff);
    const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
    if (wide == 0x7ff)
        return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(infinite) << Fraction |
                                          (fraction != 0 ? 1u : 0u) << (Fraction - 1));
    const int exponent = wide - 1023 + bias;
    const int drop = exponent > 0 ? dropped : dropped + 1 - exponent; // a denormal drops more
    if (drop > 54) return static_cast<std::uint16_t>(sign);           // below half of the least number
    const std::uint64_t whole = fraction | (wide == 0 ? 0 : std::uint64_t{1} << 52);
    const std::uint64_t kept = whole >> drop, rest = whole & ((std::uint64_t{1} << drop) - 1), half = std::uint64_t{1} << (drop - 1);
    const std::uint64_t rounded = kept + (rest > half || (rest == half && (kept & 1)) ? 1 : 0);
    // The leading 1 of `rounded` counts as one more in the exponent, and a carry passes into it.
    const std::uint64_t magnitude = exponent > 0 ? rounded + (static_cast<std::uint64_t>(exponent - 1) << Fraction) : rounded;
    const auto limit = static_cast<std::uint64_t>(infinite) << Fraction;
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(magnitude < limit ? magnitude : limit));
}

template <int Exponent, int Fraction>
constexpr float widen(std::uint16_t bits) {
    constexpr int bias = (1 << (Exponent - 1)) - 1, infinite = (1 << Exponent) - 1;
    const std::uint32_t sign = static_cast<std::uint32_t>(bits >> (Exponent + Fraction)) << 31;
    const int exponent = bits >> Fraction & infinite;
    const std::uint32_t fraction = bits & ((1u << Fraction) - 1);
    if (exponent == infinite) return std::bit_cast<float>(sign | 0x7f800000u | fraction << (23 - Fraction));
    if constexpr (Exponent == 8) return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << (23 - Fraction));
    if (exponent != 0)
        return std::bit_cast<float>(sign | static_cast<std::uint32_t>(exponent - bias + 127) << 23 | fraction << (23 - Fraction));
    const float magnitude = static_cast<float>(fraction) * std::bit_cast<float>(static_cast<std::uint32_t>(128 - bias - Fraction) << 23);
    return sign ? -magnitude : magnitude;
}

/// A floating-point number in two bytes. It only stores: arithmetic is done in float or double.
template <int Exponent, int Fraction>
class two_byte_float {
    std::uint16_t bits_ = 0;

  public:
    two_byte_float() = default;
    constexpr explicit two_byte_float(double value) : bits_(narrow<Exponent, Fraction>(value)) {}
    constexpr operator float() const { return widen<Exponent, Fraction>(bits_); }

    static constexpr two_byte_float from_bits(std::uint16_t bits) {
        two_byte_float value;
        value.bits_ = bits;
        return value;
    }
    constexpr std::uint16_t bits() const { return bits_; }
};

} // namespace detail

/// The upper half of a float: its range, 8 bits of precision. Laid out as Eigen::bfloat16, __nv_bfloat16 and torch.bfloat16.
using bfloat16 = detail::two_byte_float<8, 7>;

/// IEEE 754 binary16: 11 bits of precision, up to 65504. Laid out as _Float16, Eigen::half, __half and torch.float16.
using float16 = detail::two_byte_float<5, 10>;

static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

/// The types of logits. `_Float16` is one where the compiler has it.
template <class T>
concept logit = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bfloat16> || std::same_as<T, float16>
#if defined(__FLT16_MAX__)
    || std::same_as<T, _Float16>
#endif
    ;

namespace detail {

// A class and no condition on a type: compilers do not agree on how such a condition is written in the name of a function.
template <class T>
struct term {
    using type = float;
};
template <>
struct term<double> {
    using type = double;
};

} // namespace detail

/// What a row's figures and weights are held in: double for double, else float.
template <class T>
using term_of = typename detail::term<T>::type;

} // namespace car::inline CAR_ABI

// Doxygen does not find the class that this specialises.
/// @cond
/// All that generic code asks of a number.
template <int Exponent, int Fraction>
class std::numeric_limits<car::detail::two_byte_float<Exponent, Fraction>> : public std::numeric_limits<float> {
    using number = car::detail::two_byte_float<Exponent, Fraction>;
    static constexpr int bias = (1 << (Exponent - 1)) - 1, top = (1 << Exponent) - 1;
    static constexpr number made(int bits) noexcept { return number::from_bits(static_cast<std::uint16_t>(bits)); }

  public:
    static constexpr int digits = Fraction + 1, digits10 = Fraction * 3 / 10, max_digits10 = 2 + digits * 3 / 10;
    static constexpr int min_exponent = 2 - bias, max_exponent = bias + 1;
    static constexpr int min_exponent10 = -(bias - 1) * 3 / 10, max_exponent10 = (bias + 1) * 3 / 10;
    static constexpr number min() noexcept { return made(1 << Fraction); }
    static constexpr number max() noexcept { return made((top << Fraction) - 1); }
    static constexpr number lowest() noexcept { return made(0x8000 | ((top << Fraction) - 1)); }
    static constexpr number epsilon() noexcept { return made((bias - Fraction) << Fraction); }
    static constexpr number round_error() noexcept { return made((bias - 1) << Fraction); }
    static constexpr number infinity() noexcept { return made(top << Fraction); }
    static constexpr number quiet_NaN() noexcept { return made((top << Fraction) | 1 << (Fraction - 1)); }
    static constexpr number signaling_NaN() noexcept { return made((top << Fraction) | 1); }
    static constexpr number denorm_min() noexcept { return made(1); }
};
/// @endcond
