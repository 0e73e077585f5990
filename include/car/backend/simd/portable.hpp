// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "group.hpp" // what the text of the kernels is about

// The text of the kernels in registers of 16 bytes, which every machine has, in the compiler's own vectors. Without a multiplication and
// addition in one rounding a row of float would not be within its bounds, so that rows are computed in double.
namespace car::inline CAR_ABI::kernel::simd_row::portable {

inline constexpr std::ptrdiff_t bytes = 16;
inline constexpr bool has_fma = false;

#include "text/vectors.inc"

/// The products that are added here have no rounding, or one that does not count.
template <class Vector>
[[gnu::always_inline]] inline Vector fma(const Vector& a, const Vector& b, const Vector& c) {
    return a * b + c;
}
template <class Scalar>
[[gnu::always_inline]] inline typename vector_of<Scalar>::type load_part(const Scalar* from, std::ptrdiff_t count, Scalar filler) {
    Scalar kept[lanes<Scalar>];
    for (std::ptrdiff_t k = 0; k != lanes<Scalar>; ++k) kept[k] = k < count ? from[k] : filler;
    return load(kept);
}
template <class Scalar, class Vector>
[[gnu::always_inline]] inline void store_part(Scalar* to, std::ptrdiff_t count, const Vector& value) {
    for (std::ptrdiff_t k = 0; k != count; ++k) to[k] = value[k];
}
/// Around the caches, where a machine can do that.
template <class Scalar, class Vector>
[[gnu::always_inline]] inline void stream(Scalar* to, const Vector& value) {
    store(to, value);
}
/// One bit for each lane.
template <class Vector>
[[gnu::always_inline]] inline unsigned equal(const Vector& a, const Vector& b) {
    unsigned found = 0;
    for (std::size_t k = 0; k != sizeof a / sizeof a[0]; ++k) found |= static_cast<unsigned>(a[k] == b[k]) << k;
    return found;
}
[[gnu::always_inline]] inline doubles lower_half(const floats& x) { return doubles{x[0], x[1]}; }
[[gnu::always_inline]] inline doubles upper_half(const floats& x) { return doubles{x[2], x[3]}; }

/// binary16, of which _Float16 is another name.
template <class T>
[[gnu::always_inline]] inline floats widen_two_bytes(const T* from) {
    return floats{static_cast<float>(from[0]), static_cast<float>(from[1]), static_cast<float>(from[2]), static_cast<float>(from[3])};
}
template <class T>
[[gnu::always_inline]] inline void narrow_to_two_bytes(T* to, const floats& value) {
    for (std::ptrdiff_t k = 0; k != lanes<float>; ++k) to[k] = static_cast<T>(value[k]);
}
/// Two registers of doubles as one of floats.
[[gnu::always_inline]] inline floats narrow(const doubles& low, const doubles& high) {
    return floats{static_cast<float>(low[0]), static_cast<float>(low[1]), static_cast<float>(high[0]), static_cast<float>(high[1])};
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

} // namespace car::inline CAR_ABI::kernel::simd_row::portable
