// SPDX-License-Identifier: Apache-2.0
#pragma once

// What backend/simd/avx512.hpp calls, lane by lane, for machines without AVX-512. `run` puts it before a test.

namespace emulation {

using floats __attribute__((vector_size(64))) = float;
using doubles __attribute__((vector_size(64))) = double;
using halves __attribute__((vector_size(32))) = short;
using half_floats __attribute__((vector_size(32))) = float;

template <class Vector, class Lane>
[[gnu::always_inline]] inline Vector each(Lane lane) {
    Vector all{};
    for (unsigned k = 0; k != sizeof(all) / sizeof(all[0]); ++k) all[k] = lane(k);
    return all;
}

[[gnu::always_inline]] inline floats fma(const floats& a, const floats& b, const floats& c) {
    return each<floats>([&](unsigned k) { return __builtin_fmaf(a[k], b[k], c[k]); });
}
[[gnu::always_inline]] inline doubles fma(const doubles& a, const doubles& b, const doubles& c) {
    return each<doubles>([&](unsigned k) { return __builtin_fma(a[k], b[k], c[k]); });
}

/// x 2^floor(n), rounded once.
inline double power_times(double x, double n) {
    if (n != n) return n;
    n = __builtin_floor(n);
    return __builtin_ldexp(x, n > 5000 ? 5000 : n < -5000 ? -5000 : static_cast<int>(n));
}
inline float power_times(float x, float n) {
    if (n != n) return n;
    n = __builtin_floorf(n);
    return __builtin_ldexpf(x, n > 5000 ? 5000 : n < -5000 ? -5000 : static_cast<int>(n));
}
template <class Vector>
[[gnu::always_inline]] inline Vector scale(const Vector& x, const Vector& n) {
    return each<Vector>([&](unsigned k) { return power_times(x[k], n[k]); });
}

template <class Vector, class Scalar>
[[gnu::always_inline]] inline Vector load(const Scalar* from, const Vector& filler, unsigned mask) {
    return each<Vector>([&](unsigned k) { return mask >> k & 1 ? from[k] : filler[k]; });
}
template <class Vector, class Scalar>
[[gnu::always_inline]] inline void store(Scalar* to, const Vector& value, unsigned mask) {
    for (unsigned k = 0; k != sizeof(value) / sizeof(value[0]); ++k)
        if (mask >> k & 1) to[k] = value[k];
}
template <class Vector>
[[gnu::always_inline]] inline unsigned equal(const Vector& a, const Vector& b) {
    unsigned bits = 0;
    for (unsigned k = 0; k != sizeof(a) / sizeof(a[0]); ++k) bits |= static_cast<unsigned>(a[k] == b[k]) << k;
    return bits;
}

[[gnu::always_inline]] inline doubles widen(const half_floats& x) { return __builtin_convertvector(x, doubles); }
[[gnu::always_inline]] inline floats widen(const halves& bits) {
    return each<floats>([&](unsigned k) { return static_cast<float>(__builtin_bit_cast(_Float16, static_cast<short>(bits[k]))); });
}
[[gnu::always_inline]] inline halves narrow(const floats& x) {
    return each<halves>([&](unsigned k) { return __builtin_bit_cast(short, static_cast<_Float16>(x[k])); });
}

} // namespace emulation

#define __builtin_ia32_vfmaddps512_mask(a, b, c, mask, rounding) ::emulation::fma(a, b, c)
#define __builtin_ia32_vfmaddpd512_mask(a, b, c, mask, rounding) ::emulation::fma(a, b, c)
#define __builtin_ia32_scalefps512_mask(x, n, filler, mask, rounding) ::emulation::scale(x, n)
#define __builtin_ia32_scalefpd512_mask(x, n, filler, mask, rounding) ::emulation::scale(x, n)
#define __builtin_ia32_loadups512_mask(from, filler, mask) ::emulation::load<floats>(from, filler, mask)
#define __builtin_ia32_loadupd512_mask(from, filler, mask) ::emulation::load<doubles>(from, filler, mask)
#define __builtin_ia32_storeups512_mask(to, value, mask) ::emulation::store(to, value, mask)
#define __builtin_ia32_storeupd512_mask(to, value, mask) ::emulation::store(to, value, mask)
#define __builtin_ia32_movntps512(to, value) ::emulation::store(to, value, 0xffff)
#define __builtin_ia32_movntpd512(to, value) ::emulation::store(to, value, 0xff)
#define __builtin_ia32_cmpps512_mask(a, b, how, mask, rounding) ::emulation::equal(a, b)
#define __builtin_ia32_cmppd512_mask(a, b, how, mask, rounding) ::emulation::equal(a, b)
#define __builtin_ia32_cvtps2pd512_mask(x, filler, mask, rounding) ::emulation::widen(x)
#define __builtin_ia32_vcvtph2ps512_mask(x, filler, mask, rounding) ::emulation::widen(x)
#define __builtin_ia32_vcvtps2ph512_mask(x, rounding, filler, mask) ::emulation::narrow(x)
