// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <car/float_types.hpp> // the storage types

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>     // bits
#include <type_traits> // std::is_same_v

// What kernels compute with. Nothing here uses ex2 or lg2: a device promises only 2^-22 of those.
namespace car::inline CAR_ABI::kernel::device_row {

template <class A>
inline constexpr A infinity = static_cast<A>(__builtin_huge_val());
template <class A>
inline constexpr A no_number = static_cast<A>(__builtin_nan(""));

// Storage.

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(const bfloat16& x) { return __bfloat162float(reinterpret_cast<const __nv_bfloat16&>(x)); }
__device__ __forceinline__ float widen(const float16& x) { return __half2float(reinterpret_cast<const __half&>(x)); }

template <class T>
__device__ __forceinline__ T narrow(term_of<T> x) {
    if constexpr (std::is_same_v<T, bfloat16>) {
        const __nv_bfloat16 y = __float2bfloat16_rn(x);
        return reinterpret_cast<const bfloat16&>(y);
    } else if constexpr (std::is_same_v<T, float16>) {
        const __half y = __float2half_rn(x);
        return reinterpret_cast<const float16&>(y);
    } else {
        return x;
    }
}

/// So many elements in one access.
template <class T, int Vector>
struct alignas(sizeof(T) * Vector) pack {
    T values[Vector];
};

// The numbers.

__device__ __forceinline__ float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return fmax(a, b); }
__device__ __forceinline__ float smaller(float a, float b) { return fminf(a, b); }
__device__ __forceinline__ double smaller(double a, double b) { return fmin(a, b); }
/// The larger, or the one that is NaN.
__device__ __forceinline__ float larger_or_nan(float a, float b) {
    float larger;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
    return larger;
}
__device__ __forceinline__ double larger_or_nan(double a, double b) { return b > a || b != b ? b : a; }
__device__ __forceinline__ float magnitude(float a) { return fabsf(a); }
__device__ __forceinline__ double magnitude(double a) { return fabs(a); }

__device__ __forceinline__ std::int32_t bits_of(float x) { return __float_as_int(x); }
__device__ __forceinline__ std::int64_t bits_of(double x) { return __double_as_longlong(x); }
__device__ __forceinline__ float number_of_bits(std::int32_t b) { return __int_as_float(b); }
__device__ __forceinline__ double number_of_bits(std::int64_t b) { return __longlong_as_double(b); }

/// A number in two parts.
template <class A>
struct split {
    A high = 0, low = 0;

    __device__ double value() const { return static_cast<double>(high) + static_cast<double>(low); }
};

/// a + b without error, of finite numbers.
template <class A>
__device__ __forceinline__ split<A> two_sum(A a, A b) {
    const A sum = add(a, b), part = add(sum, -a);
    return {sum, add(add(a, -add(sum, -part)), add(b, -part))};
}

/// A sum whose roundings do not add up.
template <class A>
struct compensated : split<A> {
    __device__ void add_term(A x) {
        const split<A> sum = two_sum(this->high, x);
        this->high = sum.high;
        this->low = add(this->low, sum.low);
    }
    __device__ void merge(const split<A>& other) {
        add_term(other.high);
        this->low = add(this->low, other.low);
    }
};

/// The same in fewer operations: of every `Together` terms the plain sum is added, with Together - 1 roundings at most. Their number is a
/// multiple of it.
template <class A, int Together>
class grouped {
    compensated<A> sum_;
    A part_ = 0;
    int count_ = 0; // known while compiling, where loops are unrolled

  public:
    __device__ __forceinline__ void add_term(A x) {
        part_ = count_ == 0 ? x : add(part_, x);
        count_ = (count_ + 1) % Together;
        if (count_ == 0) sum_.add_term(part_);
    }
    __device__ const compensated<A>& whole() const { return sum_; }
};

/// The sums of several threads together: those of floats in double, which has digits to spare.
template <class A>
struct joint : compensated<A> {
    joint() = default;
    __device__ joint(const compensated<A>& own) : compensated<A>(own) {}
};
template <>
struct joint<float> {
    double sum = 0;

    joint() = default;
    __device__ joint(const compensated<float>& own) : sum(own.value()) {}
    __device__ void merge(const joint& other) { sum += other.sum; }
    __device__ double value() const { return sum; }
};

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
};
template <>
struct format<double> {
    using bits = std::int64_t;
    static constexpr int mantissa = 52, terms = 14, offset = 300;
    static constexpr double shift = 0x1.8p52, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33, log2_e = 0x1.71547652b82fep+0;
    static constexpr double reach = 914, deepest = 700, negligible = 708;
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

// What a row needs once, in double.

/// 1/x, x normal.
__device__ __forceinline__ double inverse(double x) {
    double y;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
#pragma unroll
    for (int step = 0; step != 3; ++step) y = fma(y, fma(-x, y, 1.0), y);
    return y;
}

/// a/b, b normal: without the slow path of a division, which is a call.
__device__ __forceinline__ double quotient(double a, double b) {
    const double y = inverse(b), q = a * y;
    return magnitude(q) < infinity<double> ? fma(y, fma(-b, q, a), q) : q;
}

/// log(high + low), high > 0 and normal, low at most a few units in the last place of high.
__device__ inline double log(double high, double low) {
    const double correction = low * inverse(high);
    const std::int64_t bits = bits_of(high), e = (bits - bits_of(0x1.6a09e667f3bcdp-1)) >> 52;
    const double m = number_of_bits(bits - (e << 52)), k = static_cast<double>(static_cast<int>(e));
    const double f = m - 1, s = f * inverse(2 + f), s2 = s * s, half = 0.5 * f * f;
    double r = 0;
#pragma unroll
    for (int j = 11; j != 0; --j) r = s2 * (r + 2.0 / (2 * j + 1));
    const double low_part = fma(k, format<double>::ln2_low, correction);
    return fma(k, format<double>::ln2_high, -((half - fma(s, half + r, low_part)) - f));
}

/// log(1 + z), z > -1; infinity and NaN stay.
__device__ inline double log1p(double z) {
    if (!(z < infinity<double>)) return z;
    if (magnitude(z) < 0x1p-54) return z;
    const double sum = 1 + z;
    return log(sum, magnitude(z) < 1 ? z - (sum - 1) : 1 - (sum - z));
}

/// log1p(z) - z, |z| <= 1/2: log1p(z) = 2 atanh(r), r = z / (2 + z), with the terms that cancel taken out of the series.
__device__ inline double log1p_minus(double z) {
    const double r = z * inverse(2 + z), r2 = r * r;
    double sum = 0;
#pragma unroll
    for (int k = 17; k != -1; --k) sum = fma(r2, sum, 1.0 / (2 * k + 3));
    return r * fma(2 * r2, sum, -z);
}

} // namespace car::inline CAR_ABI::kernel::device_row
