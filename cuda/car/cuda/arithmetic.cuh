// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <car/float_types.hpp> // the storage types

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>     // bits
#include <type_traits> // std::is_same_v

// What kernels compute with: numbers as they are stored, their operations, and sums.
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

/// A sum of floats of which `Together`, a power of two, are added by pairs and passed on to double: a term is rounded as often as there are
/// halves. Their number is a multiple of it.
template <int Together>
class passed_on {
    static constexpr int levels = Together == 1 ? 0 : Together == 2 ? 1 : Together == 4 ? 2 : 3;
    static_assert(Together == 1 << levels);
    double whole_ = 0;
    float halves_[levels + 1];
    int count_ = 0; // known while compiling, where loops are unrolled

  public:
    __device__ __forceinline__ void add_term(float x) {
        ++count_;
#pragma unroll
        for (int level = 0; level != levels; ++level) {
            if (count_ >> level & 1) {
                halves_[level] = x;
                return;
            }
            x = add(halves_[level], x);
        }
        whole_ += static_cast<double>(x);
        count_ = 0;
    }
    __device__ double whole() const { return whole_; }
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

} // namespace car::inline CAR_ABI::kernel::device_row
