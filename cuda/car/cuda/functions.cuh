// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.cuh" // numbers in two parts

#include <type_traits> // std::make_unsigned_t

// exp, phi and log, and reciprocals. Nothing here uses ex2 or lg2: a device promises only 2^-22 of those.
namespace car::inline CAR_ABI::kernel::device_row {

/// What a format of numbers gives to exp: ln 2 in two parts, of which the first has few bits, and the terms of its series on
/// |r| <= ln 2 / 2. exp(a) is held 2^offset times, so that a class far below the maximum keeps its share; below -reach it is 0.
template <class A>
struct format;
template <>
struct format<float> {
    using bits = std::int32_t;
    static constexpr int mantissa = 23, terms = 6, offset = 60;
    /// Of the series of (exp(r) - 1 - r) / r^2: within 0.09u of it on |r| <= ln 2 / 2, for a term less than Taylor's.
    static constexpr float tail[terms] = {0x1p-1f, 0x1.555556p-3f, 0x1.5554f8p-5f, 0x1.111064p-7f, 0x1.6d4334p-10f, 0x1.a17bb6p-13f};
    static constexpr float shift = 0x1.8p23f, ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f, log2_e = 0x1.715476p+0f;
    static constexpr float reach = 127.5f, deepest = 87, negligible = 88;
    static constexpr int log_terms = 8, log1p_minus_terms = 7; ///< for 46 bits
    static constexpr double small = 0.25;
};
template <>
struct format<double> {
    using bits = std::int64_t;
    static constexpr int mantissa = 52, terms = 14, offset = 300;
    static constexpr double shift = 0x1.8p52, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33, log2_e = 0x1.71547652b82fep+0;
    static constexpr double reach = 914, deepest = 700, negligible = 708;
    static constexpr int log_terms = 11, log1p_minus_terms = 18;
    static constexpr double small = 0.5; ///< z up to which log1p_minus is used
};

/// 1/k!
constexpr double inverse_factorial(int k) {
    double product = 1;
    for (int j = 2; j <= k; ++j) product *= j;
    return 1 / product;
}
template <class A, int K>
inline constexpr A coefficient = inverse_factorial(K);
template <int K>
inline constexpr float coefficient<float, K> = format<float>::tail[K - 2];

/// exp(r) - 1 - r = r^2 (1/2! + r/3! + ...)
template <class A, int K = 2>
__device__ __forceinline__ A tail_series(A r) {
    if constexpr (K == format<A>::terms + 1)
        return coefficient<A, K>;
    else
        return fma(r, tail_series<A, K + 1>(r), coefficient<A, K>);
}

/// x = k ln 2 + r, exp(r) = 1 + r + tail. `counted` has k in its low bits, more than `shift` has there.
template <class A>
struct reduced {
    A k, r, tail;
    typename format<A>::bits counted;

    __device__ __forceinline__ explicit reduced(A x, A shift = format<A>::shift) : reduced(x, shift, [](A high) { return high; }) {}
    __device__ __forceinline__ explicit reduced(split<A> x, A shift = format<A>::shift)
        : reduced(x.high, shift, [low = x.low](A high) { return add(high, low); }) {}

  private:
    template <class Correct>
    __device__ __forceinline__ reduced(A x, A shift, Correct correct) {
        using f = format<A>;
        const A t = fma(x, f::log2_e, shift);
        counted = bits_of(t);
        k = add(t, -shift);
        r = correct(fma(k, -f::ln2_low, fma(k, -f::ln2_high, x)));
        tail = r * r * tail_series(r);
    }
};

/// exp(x), times 2 for each that the shift is more than that of the format.
template <class A>
__device__ __forceinline__ A shifted_exp(const reduced<A>& part) {
    using bits = typename format<A>::bits;
    using unsigned_bits = std::make_unsigned_t<bits>;
    const auto moved = static_cast<unsigned_bits>(part.counted) << format<A>::mantissa;
    return number_of_bits(static_cast<bits>(static_cast<unsigned_bits>(bits_of(A(1) + (part.r + part.tail))) + moved));
}
/// The shift with which exp(x) is a part of 1 times 2^offset.
template <class A>
__device__ __forceinline__ A shift_of(A x) {
    using f = format<A>;
    const A nearest = add(fma(x, f::log2_e, f::shift), -f::shift);
    return add(add(f::shift, -nearest), A(f::offset));
}

/// phi(t) = exp(-t) - 1 + t and drop = 1 - exp(-t), t = high + low, |t| <= deepest. With s = 2^k,
/// exp(-t) = s (1 + r + tail) and -t = k ln 2 + r: phi = s tail + (s - 1) r + (s - 1 - k ln 2), of which the last two vanish near 0.
template <class A>
struct curve {
    A phi, drop;

    __device__ __forceinline__ curve(A high, A low) {
        using f = format<A>;
        using bits = std::make_unsigned_t<typename f::bits>;
        const reduced<A> part(split<A>{-high, -low});
        const bits exponent = static_cast<bits>(part.counted) << f::mantissa;
        const A s = number_of_bits(static_cast<typename f::bits>(exponent + static_cast<bits>(bits_of(A(1)))));
        const A above = s - 1;
        phi = fma(s, part.tail, fma(above, part.r, fma(part.k, -f::ln2_low, fma(part.k, -f::ln2_high, above))));
        drop = fma(-s, part.r + part.tail, -above);
    }
};

// What a row needs once, in double: with the digits that numbers of type A can use.

/// 1/x, x normal: y (1 + error + error^2), of a y of 20 bits.
__device__ __forceinline__ double inverse(double x) {
    double y;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    const double error = fma(-x, y, 1.0);
    return fma(y, fma(error, error, error), y);
}

/// a/b, b normal: without the slow path of a division, which is a call.
__device__ __forceinline__ double quotient(double a, double b) {
    const double y = inverse(b), q = a * y;
    return magnitude(q) < infinity<double> ? fma(y, fma(-b, q, a), q) : q;
}

/// log(high + low), high > 0 and normal, low at most a few units in the last place of high.
template <class A>
__device__ inline double log(double high, double low) {
    const double correction = low * inverse(high);
    const std::int64_t bits = bits_of(high), e = (bits - bits_of(0x1.6a09e667f3bcdp-1)) >> 52;
    const double m = number_of_bits(bits - (e << 52)), k = static_cast<double>(static_cast<int>(e));
    const double f = m - 1, s = f * inverse(2 + f), s2 = s * s, half = 0.5 * f * f;
    double sum = 0;
#pragma unroll
    for (int j = format<A>::log_terms; j != 0; --j) sum = fma(s2, sum, 2.0 / (2 * j + 1));
    const double r = s2 * sum;
    const double low_part = fma(k, format<double>::ln2_low, correction);
    return fma(k, format<double>::ln2_high, -((half - fma(s, half + r, low_part)) - f));
}

/// log(1 + z), z > -1; infinity and NaN stay.
template <class A>
__device__ inline double log1p(double z) {
    if (!(z < infinity<double>)) return z;
    if (magnitude(z) < 0x1p-54) return z;
    const double sum = 1 + z;
    return log<A>(sum, magnitude(z) < 1 ? z - (sum - 1) : 1 - (sum - z));
}

/// log1p(z) - z, |z| at most `small`: log1p(z) = 2 atanh(r), r = z / (2 + z), with the terms that cancel taken out of the series.
template <class A>
__device__ inline double log1p_minus(double z) {
    const double r = z * inverse(2 + z), r2 = r * r;
    double sum = 0;
#pragma unroll
    for (int k = format<A>::log1p_minus_terms - 1; k != -1; --k) sum = fma(r2, sum, 1.0 / (2 * k + 3));
    return r * fma(2 * r2, sum, -z);
}

} // namespace car::inline CAR_ABI::kernel::device_row
