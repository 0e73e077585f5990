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

#include "text/vectors.inc"

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
/// To an aligned address, around the caches.
template <class Scalar, class Vector>
[[gnu::always_inline]] inline void stream(Scalar* to, const Vector& value) {
#if defined(__clang__)
    __builtin_nontemporal_store(value, reinterpret_cast<Vector*>(to));
#else
    if constexpr (std::is_same_v<Scalar, float>)
        __builtin_ia32_movntps256(to, value);
    else
        __builtin_ia32_movntpd256(to, value);
#endif
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

/// binary16, of which _Float16 is another name.
template <class T>
[[gnu::always_inline]] inline floats widen_two_bytes(const T* from) {
    using halves __attribute__((vector_size(bytes / 2))) = short;
    halves kept;
    __builtin_memcpy(&kept, from, sizeof kept);
    return __builtin_ia32_vcvtph2ps256(kept);
}
template <class T>
[[gnu::always_inline]] inline void narrow_to_two_bytes(T* to, const floats& value) {
    constexpr int current_rounding = 4;
    const auto kept = __builtin_ia32_vcvtps2ph256(value, current_rounding);
    __builtin_memcpy(static_cast<void*>(to), &kept, sizeof kept);
}
/// Two registers of doubles as one of floats.
[[gnu::always_inline]] inline floats narrow(const doubles& low, const doubles& high) {
    using half __attribute__((vector_size(bytes / 2))) = float;
    return __builtin_shufflevector(__builtin_convertvector(low, half), __builtin_convertvector(high, half), 0, 1, 2, 3, 4, 5, 6, 7);
}

#include "text/power.inc"

#include "text/sums.inc"

#include "text/two_bytes.inc"

#include "text/memory.inc"

#include "text/functions.inc"

#include "text/pieces.inc"

#include "text/wide.inc"

#include "text/sweep.inc"

#include "text/slopes.inc"

#include "text/tile.inc"

#include "text/loss.inc"

#include "text/softmax.inc"

#include "text/corrected.inc"

#include "text/window.inc"

#include "text/kernels.inc"

} // namespace car::inline CAR_ABI::kernel::simd_row::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
