// SPDX-License-Identifier: Apache-2.0
#pragma once

// The printed formulas of the adjustment ops, in long double or on complex numbers of it, from which come their slopes: the imaginary
// part of f(x + i h) is h f'(x) to the last digit, for no difference is taken. Shares no code with the library.

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

namespace reference {

using longest = long double;
using stepped = std::complex<long double>;

template <class Number>
using table = std::vector<std::vector<Number>>;

inline longest real(longest x) { return x; }
inline longest real(const stepped& x) { return x.real(); }

template <class Number>
table<Number> product(const table<Number>& a, const table<Number>& b) {
    table<Number> c(a.size(), std::vector<Number>(b.empty() ? 0 : b[0].size()));
    for (std::size_t i = 0; i != a.size(); ++i)
        for (std::size_t k = 0; k != b.size(); ++k)
            for (std::size_t j = 0; j != b[k].size(); ++j) c[i][j] += a[i][k] * b[k][j];
    return c;
}

template <class Number>
table<Number> turned(const table<Number>& a) {
    table<Number> t(a.empty() ? 0 : a[0].size(), std::vector<Number>(a.size()));
    for (std::size_t i = 0; i != a.size(); ++i)
        for (std::size_t j = 0; j != a[i].size(); ++j) t[j][i] = a[i][j];
    return t;
}

template <class Number>
table<Number> softmax_of_rows(table<Number> s) {
    for (auto& row : s) {
        longest max = real(row[0]);
        for (const Number& v : row) max = std::max(max, real(v));
        Number sum = 0;
        for (Number& v : row) sum += v = std::exp(v - max);
        for (Number& v : row) v /= sum;
    }
    return s;
}

/// x w, or x where there is no w.
template <class Number>
table<Number> projected(const table<Number>& x, const table<Number>& w) {
    return w.empty() ? x : product(x, w);
}

template <class Number>
table<Number> weights(const table<Number>& q, const table<Number>& k, longest scale) {
    auto scores = product(q, turned(k));
    for (auto& row : scores)
        for (Number& v : row) v *= scale;
    return softmax_of_rows(scores);
}

/// Rows of one of so many samples.
template <class Number>
table<Number> sample(const table<Number>& m, std::size_t b, std::size_t batch) {
    const std::size_t rows = m.size() / batch;
    return {m.begin() + static_cast<std::ptrdiff_t>(b * rows), m.begin() + static_cast<std::ptrdiff_t>((b + 1) * rows)};
}

/// The inputs of a formula, its arrays in the order of its arguments; one that is not given has no row.
template <class Number>
using arrays = std::vector<table<Number>>;

/// d sum upstream f / d arrays[which][i][j].
template <class Formula>
longest slope(const arrays<longest>& at, std::size_t which, std::size_t i, std::size_t j, const table<longest>& upstream, Formula f) {
    constexpr longest step = 1e-40L;
    arrays<stepped> moved;
    for (const auto& array : at) {
        auto& copy = moved.emplace_back();
        for (const auto& row : array) copy.emplace_back(row.begin(), row.end());
    }
    moved[which][i][j] += stepped(0, step);
    const table<stepped> y = f(moved);
    longest sum = 0;
    for (std::size_t r = 0; r != y.size(); ++r)
        for (std::size_t c = 0; c != y[r].size(); ++c) sum += upstream[r][c] * y[r][c].imag();
    return sum / step;
}

} // namespace reference
