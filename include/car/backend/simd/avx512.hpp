// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "group.hpp" // what the text of the kernels is about

#if defined(__x86_64__)

// The text of the kernels in registers of 64 bytes. The built-in functions are those that <immintrin.h> is made of, and that header
// alone takes longer to read than the whole library. The text includes nothing.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

namespace car::inline CAR_ABI::kernel::simd_row::avx512 {

inline constexpr std::ptrdiff_t bytes = 64;
inline constexpr bool has_fma = true;

#include "text/vectors.inc"

inline constexpr int current_rounding = 4;
/// One bit for each lane.
#if defined(__clang__)
using float_bits = unsigned short;
using double_bits = unsigned char;
#else
using float_bits = short;
using double_bits = char;
#endif
inline constexpr auto every_float = static_cast<float_bits>(0xffff);
inline constexpr auto every_double = static_cast<double_bits>(0xff);
template <class Bits>
[[gnu::always_inline]] inline Bits first(std::ptrdiff_t count) {
    return static_cast<Bits>((1u << count) - 1);
}

[[gnu::always_inline]] inline floats fma(const floats& a, const floats& b, const floats& c) {
    return __builtin_ia32_vfmaddps512_mask(a, b, c, every_float, current_rounding);
}
[[gnu::always_inline]] inline doubles fma(const doubles& a, const doubles& b, const doubles& c) {
    return __builtin_ia32_vfmaddpd512_mask(a, b, c, every_double, current_rounding);
}
/// x 2^n
[[gnu::always_inline]] inline floats scale(const floats& x, const floats& n) {
    return __builtin_ia32_scalefps512_mask(x, n, x, every_float, current_rounding);
}
[[gnu::always_inline]] inline doubles scale(const doubles& x, const doubles& n) {
    return __builtin_ia32_scalefpd512_mask(x, n, x, every_double, current_rounding);
}
[[gnu::always_inline]] inline floats load_part(const float* from, std::ptrdiff_t count, float filler) {
    return __builtin_ia32_loadups512_mask(from, splat(filler), first<float_bits>(count));
}
[[gnu::always_inline]] inline doubles load_part(const double* from, std::ptrdiff_t count, double filler) {
    return __builtin_ia32_loadupd512_mask(from, splat(filler), first<double_bits>(count));
}
[[gnu::always_inline]] inline void store_part(float* to, std::ptrdiff_t count, const floats& value) {
    __builtin_ia32_storeups512_mask(to, value, first<float_bits>(count));
}
[[gnu::always_inline]] inline void store_part(double* to, std::ptrdiff_t count, const doubles& value) {
    __builtin_ia32_storeupd512_mask(to, value, first<double_bits>(count));
}
/// To an aligned address, around the caches.
template <class Scalar, class Vector>
[[gnu::always_inline]] inline void stream(Scalar* to, const Vector& value) {
#if defined(__clang__)
    __builtin_nontemporal_store(value, reinterpret_cast<Vector*>(to));
#else
    if constexpr (std::is_same_v<Scalar, float>)
        __builtin_ia32_movntps512(to, value);
    else
        __builtin_ia32_movntpd512(to, value);
#endif
}
[[gnu::always_inline]] inline unsigned equal(const floats& a, const floats& b) {
    return static_cast<std::uint16_t>(__builtin_ia32_cmpps512_mask(a, b, 0, every_float, current_rounding));
}
[[gnu::always_inline]] inline unsigned equal(const doubles& a, const doubles& b) {
    return static_cast<std::uint8_t>(__builtin_ia32_cmppd512_mask(a, b, 0, every_double, current_rounding));
}
[[gnu::always_inline]] inline doubles lower_half(const floats& x) {
    return __builtin_ia32_cvtps2pd512_mask(__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7), doubles{}, every_double,
                                           current_rounding);
}
[[gnu::always_inline]] inline doubles upper_half(const floats& x) {
    return __builtin_ia32_cvtps2pd512_mask(__builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15), doubles{}, every_double,
                                           current_rounding);
}

/// binary16, of which _Float16 is another name.
template <class T>
[[gnu::always_inline]] inline floats widen_two_bytes(const T* from) {
    using halves __attribute__((vector_size(bytes / 2))) = short;
    halves kept;
    __builtin_memcpy(&kept, from, sizeof kept);
    return __builtin_ia32_vcvtph2ps512_mask(kept, floats{}, every_float, current_rounding);
}
template <class T>
[[gnu::always_inline]] inline void narrow_to_two_bytes(T* to, const floats& value) {
    using halves __attribute__((vector_size(bytes / 2))) = short;
    const halves kept = __builtin_ia32_vcvtps2ph512_mask(value, current_rounding, halves{}, every_float);
    __builtin_memcpy(static_cast<void*>(to), &kept, sizeof kept);
}
/// Two registers of doubles as one of floats.
[[gnu::always_inline]] inline floats narrow(const doubles& low, const doubles& high) {
    using half __attribute__((vector_size(bytes / 2))) = float;
    return __builtin_shufflevector(__builtin_convertvector(low, half), __builtin_convertvector(high, half), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                   10, 11, 12, 13, 14, 15);
}

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

} // namespace car::inline CAR_ABI::kernel::simd_row::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
