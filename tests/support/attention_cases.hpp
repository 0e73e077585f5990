// SPDX-License-Identifier: Apache-2.0
#pragma once

// Arrays for the adjustment ops, of every storage order, and what their results are compared with.

#include "attention_reference.hpp"
#include "random.hpp"

#include <car/view.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>

namespace cases {

/// A matrix that is not contiguous, by rows or by columns; or none, of no row.
template <class T>
class strided {
    std::vector<T> memory_;
    std::ptrdiff_t rows_ = 0, cols_ = 0;
    bool by_rows_ = true;

    std::ptrdiff_t row_stride() const { return by_rows_ ? cols_ + 3 : 1; }
    std::ptrdiff_t col_stride() const { return by_rows_ ? 1 : rows_ + 2; }

  public:
    strided() = default;
    strided(std::size_t rows, std::size_t cols, bool by_rows)
        : memory_(static_cast<std::size_t>((rows + 2) * (cols + 3))), rows_(static_cast<std::ptrdiff_t>(rows)),
          cols_(static_cast<std::ptrdiff_t>(cols)), by_rows_(by_rows) {}
    strided(std::size_t rows, std::size_t cols, double size, generator& random) : strided(rows, cols, random.below(2) == 0) {
        for (T& v : memory_) v = static_cast<T>(size * random.normal());
    }

    car::matrix_view<const T> view() const { return {rows_ ? memory_.data() : nullptr, rows_, cols_, row_stride(), col_stride()}; }
    car::matrix_view<T> view() { return {rows_ ? memory_.data() : nullptr, rows_, cols_, row_stride(), col_stride()}; }

    reference::table<reference::longest> table() const {
        reference::table<reference::longest> t(static_cast<std::size_t>(rows_));
        for (std::ptrdiff_t i = 0; i != rows_; ++i)
            for (std::ptrdiff_t j = 0; j != cols_; ++j)
                t[static_cast<std::size_t>(i)].push_back(static_cast<reference::longest>(view()(i, j)));
        return t;
    }
    /// Of the same shape, in another order.
    strided like() const { return {static_cast<std::size_t>(rows_), static_cast<std::size_t>(cols_), !by_rows_}; }
    static strided column(const std::vector<T>& values) {
        strided c(values.size(), 1, false);
        std::copy(values.begin(), values.end(), c.memory_.begin());
        return c;
    }
    car::vector_view<T> vector() { return {memory_.data(), rows_}; }
};

template <class T>
inline constexpr double rounding = static_cast<double>(std::numeric_limits<T>::epsilon() / 2);

/// Every element within `allowed` of the largest one, and a rounding of T. No more than a few elements of a large array are compared.
template <class T, class Formula>
void check_slopes(const char* name, const strided<T>& got, const reference::arrays<reference::longest>& at, std::size_t which,
                  const reference::table<reference::longest>& upstream, double allowed, generator& random, Formula f) {
    const auto have = got.table();
    const std::size_t cols = have[0].size(), all = have.size() * cols, some = std::min<std::size_t>(all, 24);
    reference::longest largest = 0, worst = 0;
    for (const auto& row : have)
        for (reference::longest v : row) largest = std::max(largest, std::abs(v));
    for (std::size_t n = 0; n != some; ++n) {
        const std::size_t at_n = some == all ? n : random.below(all), i = at_n / cols, j = at_n % cols;
        const auto right = reference::slope(at, which, i, j, upstream, f);
        worst = std::max(worst, std::abs(have[i][j] - right) - rounding<T> * std::abs(right) - 2 * std::numeric_limits<T>::min());
    }
    CAPTURE(name);
    CHECK(static_cast<double>(worst) <= allowed * static_cast<double>(largest));
}

} // namespace cases
