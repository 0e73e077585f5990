// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbers as PTX has them: what an instruction does to one lane's values.

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ptx {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

/// Types of two bytes, kept as bits. Every one of their values is one of float.
struct f16 {
    u16 bits;
};
struct bf16 {
    u16 bits;
};

template <class T>
concept number_format = std::floating_point<T> || std::same_as<T, f16> || std::same_as<T, bf16>;

enum class rounding { nearest, zero, down, up };

template <class T>
inline constexpr int precision_of = std::numeric_limits<T>::digits;
template <>
inline constexpr int precision_of<f16> = 11;
template <>
inline constexpr int precision_of<bf16> = 8;

/// Exponent of the least normal number; the largest finite number is below 2^most_exponent.
template <class T>
inline constexpr int least_exponent = std::numeric_limits<T>::min_exponent - 1;
template <>
inline constexpr int least_exponent<f16> = -14;
template <>
inline constexpr int least_exponent<bf16> = -126;
template <class T>
inline constexpr int most_exponent = std::numeric_limits<T>::max_exponent;
template <>
inline constexpr int most_exponent<f16> = 16;
template <>
inline constexpr int most_exponent<bf16> = 128;

template <std::floating_point Wide>
Wide to_integer(Wide x, rounding how) {
    switch (how) {
    case rounding::zero: return std::trunc(x);
    case rounding::down: return std::floor(x);
    case rounding::up: return std::ceil(x);
    case rounding::nearest: break;
    }
    return std::nearbyint(x);
}

/// x, which is exact, as the nearest number of T in that direction; Wide again. NaN stays NaN.
template <class T, std::floating_point Wide>
Wide round_to(Wide x, rounding how) {
    if (x == 0 || !std::isfinite(x)) return x;
    const int unit = std::max(std::ilogb(x), least_exponent<T>) - (precision_of<T> - 1);
    const Wide rounded = std::ldexp(to_integer(std::ldexp(x, -unit), how), unit);
    if (std::fabs(rounded) < std::ldexp(Wide(1), most_exponent<T>)) return rounded;
    const bool outwards = how == rounding::nearest || (how == rounding::up && x > 0) || (how == rounding::down && x < 0);
    const Wide most = std::ldexp(Wide(2) - std::ldexp(Wide(1), 1 - precision_of<T>), most_exponent<T> - 1);
    return std::copysign(outwards ? std::numeric_limits<Wide>::infinity() : most, x);
}

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bf16 x) { return std::bit_cast<float>(u32{x.bits} << 16); }
inline float widen(f16 x) {
    const u32 sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 0x1fu, fraction = x.bits & 0x3ffu;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
    return std::copysign(static_cast<float>(fraction) * 0x1p-24f, std::bit_cast<float>(sign | 0x3f800000u));
}

/// The one NaN that an operation on 16 or 32 bits gives.
inline constexpr u16 half_nan = 0x7fff;
inline float number_or_nan(float x) { return x == x ? x : std::bit_cast<float>(0x7fffffffu); }
inline double number_or_nan(double x) { return x; }

template <class T>
    requires(std::same_as<T, f16> || std::same_as<T, bf16>)
T narrow(double x, rounding how = rounding::nearest) {
    if (x != x) return {half_nan};
    const float rounded = static_cast<float>(round_to<T>(x, how));
    const u32 bits = std::bit_cast<u32>(rounded);
    if constexpr (std::same_as<T, bf16>) return {static_cast<u16>(bits >> 16)};
    const auto sign = static_cast<u16>(bits >> 16 & 0x8000u);
    const float magnitude = std::fabs(rounded);
    if (magnitude < 0x1p-14f) return {static_cast<u16>(sign | static_cast<u16>(magnitude * 0x1p24f))};
    if (std::isinf(magnitude)) return {static_cast<u16>(sign | 0x7c00)};
    return {static_cast<u16>(sign | ((bits >> 23 & 0xffu) - 112) << 10 | (bits >> 13 & 0x3ffu))};
}

inline float flushed(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.f, x) : x; }

/// From any type to any other; `how` is of the step that rounds. Integers saturate, a NaN is 0 of 32 bits and less.
template <class To, class From>
To convert(From from, rounding how) {
    if constexpr (number_format<From> && number_format<To>) {
        const auto x = widen(from);
        if constexpr (std::same_as<To, bf16> && std::same_as<decltype(x), const float>) {
            const u32 bits = std::bit_cast<u32>(x);
            if (how == rounding::nearest && x == x) return {static_cast<u16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
        }
        if constexpr (std::same_as<To, f16> || std::same_as<To, bf16>) {
            return narrow<To>(static_cast<double>(x), how);
        } else {
            const bool exact = sizeof(To) >= sizeof(x) || how == rounding::nearest; // what the host's own conversion does too
            return number_or_nan(static_cast<To>(exact ? x : round_to<To>(static_cast<double>(x), how)));
        }
    } else if constexpr (number_format<From>) {
        const auto x = to_integer(static_cast<double>(widen(from)), how);
        constexpr double above = static_cast<double>(u64{1} << (std::numeric_limits<To>::digits - 1)) * 2;
        constexpr auto top = std::numeric_limits<To>::max(), bottom = std::numeric_limits<To>::min();
        if (x != x) return sizeof(To) == 8 ? static_cast<To>(u64{1} << 63) : To(0);
        return x >= above ? top : x < static_cast<double>(bottom) ? bottom : static_cast<To>(x);
    } else if constexpr (std::same_as<To, f16> || std::same_as<To, bf16>) {
        return narrow<To>(static_cast<double>(round_to<To>(static_cast<long double>(from), how)));
    } else if constexpr (number_format<To>) {
        return how == rounding::nearest ? static_cast<To>(from) : static_cast<To>(round_to<To>(static_cast<long double>(from), how));
    } else {
        return static_cast<To>(from);
    }
}

/// The larger or smaller of two numbers as PTX orders them: -0 is below +0, and a NaN loses, or wins where it is asked to.
template <bool largest, bool keeps_nan, std::floating_point T>
T extreme(T a, T b) {
    if (a != a || b != b) {
        if (keeps_nan || (a != a && b != b))
            return std::bit_cast<T>(std::conditional_t<sizeof(T) == 4, u32, u64>(sizeof(T) == 4 ? 0x7fffffffu : 0x7fffffffffffffffu));
        return a != a ? b : a;
    }
    const bool first = a == b ? std::signbit(a) != largest : (a > b) == largest;
    return first ? a : b;
}

} // namespace ptx
