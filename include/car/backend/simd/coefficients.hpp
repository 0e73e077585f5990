// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../version.hpp" // CAR_ABI

// Polynomials and constants of the vectorised functions. The coefficients are those of least largest error (Remez), found with 200 bits.
namespace car::inline CAR_ABI::kernel::simd_row {

/// What exp and phi need of a type.
template <class Scalar>
struct constants;

template <>
struct constants<float> {
    static constexpr float log2_e = 0x1.715476p+0f, ln2_high = 0x1.62e43p-1f, ln2_low = -0x1.05c61p-29f;
    static constexpr float rounder =
        0x1.8p+23f; ///< added and taken away, it leaves the nearest integer; twice as large, the nearest even one

    /// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2, within 2^-26.9 of exp(r).
    static constexpr float near_tail[] = {0x1.p-1f, 0x1.5554d8p-3f, 0x1.5554b2p-5f, 0x1.12107p-7f, 0x1.6d7c4ap-10f};
    /// The same for |r| <= ln 2, within 2^-27 of itself.
    static constexpr float tail[] = {0x1.p-1f,        0x1.55555ap-3f,  0x1.55554cp-5f, 0x1.110c38p-7f,
                                     0x1.6c1aacp-10f, 0x1.a5117cp-13f, 0x1.a16adp-16f};

    static constexpr double farthest = 200;        ///< below the maximum, nothing is left of an exponential
    static constexpr double far = 120;             ///< below it, something may be missing
    static constexpr double lowest = -60;          ///< d below which exp(-d) may leave the range
    static constexpr float largest_exact = 2.9e6f; ///< up to which the multiple of ln 2 that is next to a number is exact
};

template <>
struct constants<double> {
    static constexpr double log2_e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double rounder = 0x1.8p+52;

    /// As above, within 2^-56.1 of exp(r).
    static constexpr double near_tail[] = {0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.55555555508cbp-5,  0x1.1111111127b9bp-7,
                                           0x1.6c16c1841c091p-10, 0x1.a01a012a56de1p-13, 0x1.a0199a2cf851ap-16, 0x1.71df257d7401ap-19,
                                           0x1.28ad584f6d336p-22, 0x1.ad7ef98c32a43p-26};
    /// As above, within 2^-56 of itself.
    static constexpr double tail[] = {0x1.0000000000000p-1,  0x1.5555555555554p-3,  0x1.555555555555bp-5,  0x1.11111111114f2p-7,
                                      0x1.6c16c16c15a77p-10, 0x1.a01a019f1687bp-13, 0x1.a01a01a2507c6p-16, 0x1.71de3c25f302cp-19,
                                      0x1.27e4f9a411c2ap-22, 0x1.ae612ed432c8ep-26, 0x1.1eee83439d7fbp-29, 0x1.63c5a4ac67c86p-33,
                                      0x1.947664f61fbdcp-37};

    static constexpr double farthest = 780;
    static constexpr double far = 700;
    static constexpr double lowest = -540;
};

/// 1/3, 1/5, ...: the series of log1p.
template <int Size>
inline constexpr auto inverse_odd = [] {
    struct {
        double values[Size];
    } series{};
    for (int k = 0; k != Size; ++k) series.values[k] = 1.0 / (2 * k + 3);
    return series;
}();

/// Logits up to here have a power of two whose exponent is exact.
inline constexpr double largest_logit = 2e6;

/// Exponentials are held times 2^48, so that the least of them survive next to a large exp(-d).
inline constexpr double head_room = 48, exponential_unit = 0x1p48;
inline constexpr double ln2 = 0x1.62e42fefa39efp-1;

/// The least d where an exponential is missing: exp(-d) could bring a lesser one's back into the range of the type.
inline constexpr double lowest_beside_far = -30;

/// The reference of the exponentials moves when the maximum has grown by so many powers of two.
inline constexpr double growth = 24;

} // namespace car::inline CAR_ABI::kernel::simd_row
