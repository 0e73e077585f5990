// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "group.hpp" // what the text of the kernels is about

#if defined(__x86_64__)

// The text of the kernels in registers of 32 bytes. A wider instruction set is shut out: the compiler would use it here too.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,no-avx512f"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,no-avx512f")
#endif

namespace car::inline CAR_ABI::kernel::simd_row::avx2 {

inline constexpr std::ptrdiff_t bytes = 32;
inline constexpr bool has_fma = true;

#include "text/vectors.hpp"

[[gnu::always_inline]] inline floats fma(const floats& a, const floats& b, const floats& c) { return __builtin_ia32_vfmaddps256(a, b, c); }
[[gnu::always_inline]] inline doubles fma(const doubles& a, const doubles& b, const doubles& c) {
    return __builtin_ia32_vfmaddpd256(a, b, c);
}
/// All bits of the first lanes.
[[gnu::always_inline]] inline ints first_floats(std::ptrdiff_t count) {
    return ints{0, 1, 2, 3, 4, 5, 6, 7} < static_cast<std::int32_t>(count) - ints{};
}
[[gnu::always_inline]] inline longs first_doubles(std::ptrdiff_t count) {
    return longs{0, 1, 2, 3} < static_cast<long long>(count) - longs{};
}

[[gnu::always_inline]] inline floats load_part(const float* from, std::ptrdiff_t count, float filler) {
    const ints mask = first_floats(count);
    return mask ? __builtin_ia32_maskloadps256(reinterpret_cast<const floats*>(from), mask) : splat(filler);
}
[[gnu::always_inline]] inline doubles load_part(const double* from, std::ptrdiff_t count, double filler) {
    const longs mask = first_doubles(count);
    return mask ? __builtin_ia32_maskloadpd256(reinterpret_cast<const doubles*>(from), mask) : splat(filler);
}
[[gnu::always_inline]] inline void store_part(float* to, std::ptrdiff_t count, const floats& value) {
    __builtin_ia32_maskstoreps256(reinterpret_cast<floats*>(to), first_floats(count), value);
}
[[gnu::always_inline]] inline void store_part(double* to, std::ptrdiff_t count, const doubles& value) {
    __builtin_ia32_maskstorepd256(reinterpret_cast<doubles*>(to), first_doubles(count), value);
}
/// One bit for each lane.
[[gnu::always_inline]] inline unsigned equal(const floats& a, const floats& b) {
    const ints same = a == b;
    return static_cast<unsigned>(__builtin_ia32_movmskps256(reinterpret_cast<floats>(same)));
}
[[gnu::always_inline]] inline unsigned equal(const doubles& a, const doubles& b) {
    const longs same = a == b;
    return static_cast<unsigned>(__builtin_ia32_movmskpd256(reinterpret_cast<doubles>(same)));
}
[[gnu::always_inline]] inline doubles lower_half(const floats& x) {
    return __builtin_convertvector(__builtin_shufflevector(x, x, 0, 1, 2, 3), doubles);
}
[[gnu::always_inline]] inline doubles upper_half(const floats& x) {
    return __builtin_convertvector(__builtin_shufflevector(x, x, 4, 5, 6, 7), doubles);
}

#include "text/power.hpp"

#include "text/sums.hpp"

#include "text/functions.hpp"

#include "text/row.hpp"

#include "text/loss.hpp"

} // namespace car::inline CAR_ABI::kernel::simd_row::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
