// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../version.hpp" // CAR_ABI

// Polynomials and constants of the vectorised functions. The coefficients are those of least largest error (Remez), found with 200 bits.
namespace car::inline CAR_ABI::kernel::simd_row {

/// What exp and phi need of a type. Both are computed for rows of float: a double here has bits to spare, so its polynomials stop at
/// 2^-37, thousands of times finer than the u of the results.
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

    static constexpr double farthest = 200; ///< below the maximum, nothing is left of an exponential
    static constexpr double lowest = -30;   ///< d below which exp(-d) may leave the range, or its rounding the bounds
    static constexpr double condition = 4;  ///< how much larger than the divergence its terms may be
};

template <>
struct constants<double> {
    static constexpr double log2_e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double rounder = 0x1.8p+52;

    /// As above, within 2^-38 of exp(r).
    static constexpr double near_tail[] = {0x1.fffffffffbb8dp-2,  0x1.555555686ca4cp-3,  0x1.555555709b8afp-5, 0x1.1110c32de2001p-7,
                                           0x1.6c164db347340p-10, 0x1.a157b16b679a9p-13, 0x1.a160c66b69537p-16};
    /// As above, within 2^-36.9 of itself.
    static constexpr double tail[] = {0x1.fffffffffcfb3p-2,  0x1.555555539c630p-3,  0x1.5555555af34f2p-5,
                                      0x1.11111404df511p-7,  0x1.6c16bb7848920p-10, 0x1.a0148eed1f634p-13,
                                      0x1.a01cda814bf21p-16, 0x1.75951fbe05212p-19, 0x1.28b70a85a6a9dp-22};

    static constexpr double farthest = 660;
    static constexpr double lowest = -540; ///< what is farther than `farthest` is then worth nothing
    static constexpr double condition = 0x1p20;
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

/// The reference of the exponentials moves when the maximum has grown by so many powers of two.
inline constexpr double growth = 24;

} // namespace car::inline CAR_ABI::kernel::simd_row
