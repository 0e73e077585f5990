// SPDX-License-Identifier: Apache-2.0
#pragma once

// Dual numbers of 113 bits, and the parts that the printed formulas of the family are made of. Shares no code with the library.

#include "row_reference.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#if !__has_include(<quadmath.h>)
extern "C" __float128 sqrtq(__float128);
#endif

namespace reference {

/// A value, its derivative, and the sum of the magnitudes of what the derivative was added up from: what its error is measured in.
struct dual {
    wide v = 0, d = 0, s = 0;

    dual() = default;
    dual(wide value) : v(value) {}
    dual(double value) : v(value) {}
    dual(wide value, wide slope, wide scale) : v(value), d(slope), s(scale) {}
};

inline dual along(const dual& x, wide value, wide slope) { return {value, slope == 0 ? 0 : slope * x.d, magnitude(slope) * x.s}; }
inline dual operator-(const dual& a) { return {-a.v, -a.d, a.s}; }
inline dual operator+(const dual& a, const dual& b) { return {a.v + b.v, a.d + b.d, a.s + b.s}; }
inline dual operator-(const dual& a, const dual& b) { return a + -b; }
inline dual operator*(const dual& a, const dual& b) {
    return {a.v * b.v, a.d * b.v + a.v * b.d, a.s * magnitude(b.v) + magnitude(a.v) * b.s};
}
inline dual operator/(const dual& a, const dual& b) { return a * along(b, 1 / b.v, -1 / (b.v * b.v)); }
inline dual exp(const dual& x) { return along(x, expq(x.v), expq(x.v)); }
inline dual log(const dual& x) { return along(x, logq(x.v), 1 / x.v); }
inline dual log1p(const dual& x) { return along(x, log1pq(x.v), 1 / (1 + x.v)); }
inline dual sqrt(const dual& x) { return along(x, sqrtq(x.v), 1 / (2 * sqrtq(x.v))); }
inline dual abs(const dual& x) { return along(x, magnitude(x.v), x.v > 0 ? 1 : x.v < 0 ? -1 : 0); }
inline dual detached(const dual& x) { return {x.v}; }

inline dual sigmoid(const dual& x) { return dual(1.0) / (dual(1.0) + exp(-x)); }
inline dual log_sigmoid(const dual& x) { return -log1p(exp(-x)); }

using duals = std::vector<dual>;

template <class F>
duals each(std::size_t n, F f) {
    duals result;
    for (std::size_t k = 0; k != n; ++k) result.push_back(f(k));
    return result;
}

/// - log softmax(z)_y, over the classes that are not masked.
inline dual cross_entropy(const duals& z, std::size_t y) {
    dual others;
    for (std::size_t k = 0; k != z.size(); ++k)
        if (k != y && !masked(z[k].v)) others = others + exp(z[k] - z[y]);
    return log1p(others);
}
inline dual softmax(const duals& z, std::size_t y) { return masked(z[y].v) ? dual() : exp(-cross_entropy(z, y)); }

/// - sum_k t_k log softmax(z)_k
inline dual cross_entropy(const duals& z, const duals& t) {
    dual sum;
    for (std::size_t k = 0; k != z.size(); ++k)
        if (!masked(z[k].v)) sum = sum + t[k] * cross_entropy(z, k);
    return sum;
}
inline duals softmax(const duals& z) {
    return each(z.size(), [&](std::size_t k) { return softmax(z, k); });
}
inline duals detached(const duals& z) {
    return each(z.size(), [&](std::size_t k) { return detached(z[k]); });
}
inline wide largest(const duals& z) {
    wide most = 0;
    for (const dual& x : z)
        if (!masked(x.v) && magnitude(x.v) > most) most = magnitude(x.v);
    return most;
}

} // namespace reference
