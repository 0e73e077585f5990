// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "view.hpp" // matrices in it

#include <cstddef> // std::ptrdiff_t
#include <vector>  // its memory

namespace car::inline CAR_ABI {

/// Memory that calls use one after the other. It grows to what the largest of them needs and is kept: a call that has been made before
/// allocates nothing. One thread at a time.
class workspace {
    std::vector<double> numbers_;

  public:
    /// At least so many numbers, of any value.
    double* numbers(std::ptrdiff_t count) {
        if (static_cast<std::size_t>(count) > numbers_.size()) numbers_.resize(static_cast<std::size_t>(count));
        return numbers_.data();
    }
    std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(numbers_.size()); }
};

namespace detail {

/// The matrices of a call, one after the other. Without memory they are only counted.
class arena {
    double* first_ = nullptr;
    std::ptrdiff_t size_ = 0;

  public:
    arena() = default;
    explicit arena(double* first) : first_(first) {}

    matrix_view<double> matrix(std::ptrdiff_t rows, std::ptrdiff_t cols) {
        double* const at = first_ ? first_ + size_ : nullptr;
        size_ += rows * cols;
        return {at, rows, cols};
    }
    std::ptrdiff_t size() const { return size_; }
};

template <class A, class B, class Each>
void for_each(const matrix_view<A>& a, const matrix_view<B>& b, Each each) {
    for (std::ptrdiff_t i = 0; i != a.rows; ++i)
        for (std::ptrdiff_t j = 0; j != a.cols; ++j) each(a(i, j), b(i, j));
}
inline void fill(const matrix_view<double>& m, double value) {
    for_each(m, m, [&](double&, double& to) { to = value; });
}
inline void add(const matrix_view<const double>& m, const matrix_view<double>& sum) {
    for_each(m, sum, [](const double& from, double& to) { to += from; });
}

/// What `layout` makes of an arena, in the memory of the call or of its own, for as long as `use` runs.
template <class Layout, class Use>
void with_rooms(workspace* memory, Layout layout, Use use) {
    arena counted;
    layout(counted);
    workspace own;
    arena room((memory ? *memory : own).numbers(counted.size()));
    use(layout(room));
}

/// An input in double: where it lies, or a copy.
template <class T>
class widened {
    matrix_view<double> copy_;

  public:
    widened(arena& room, const matrix_view<const T>& m, std::ptrdiff_t samples = 1) {
        if constexpr (!std::is_same_v<T, double>)
            if (m) copy_ = room.matrix(m.rows / samples, m.cols);
    }
    matrix_view<const double> begin(const matrix_view<const T>& m) const {
        if constexpr (std::is_same_v<T, double>) {
            return m;
        } else {
            if (!m) return {};
            for_each(m, copy_, [](const T& from, double& to) { to = static_cast<double>(from); });
            return copy_;
        }
    }
};

/// An output that is summed in double, where it lies or beside it, and rounded once. Of an output that is not given, nothing.
template <class T>
class summed {
    matrix_view<double> sum_;

  public:
    summed(arena& room, const matrix_view<T>& m, std::ptrdiff_t samples = 1) {
        if constexpr (!std::is_same_v<T, double>)
            if (m) sum_ = room.matrix(m.rows / samples, m.cols);
    }
    /// The sum, at 0.
    matrix_view<double> begin(const matrix_view<T>& m) {
        if constexpr (std::is_same_v<T, double>) sum_ = m;
        if (!m) return {};
        fill(sum_, 0);
        return sum_;
    }
    void finish(const matrix_view<T>& m) const {
        if constexpr (!std::is_same_v<T, double>)
            if (m) for_each(sum_, m, [](const double& from, T& to) { to = static_cast<T>(from); });
    }
};

/// Rows of one of `samples` that lie one after the other.
template <class T>
matrix_view<T> sample_of(const matrix_view<T>& m, std::ptrdiff_t sample, std::ptrdiff_t samples) {
    if (!m) return {};
    const std::ptrdiff_t rows = m.rows / samples;
    return {m.data + sample * rows * m.row_stride, rows, m.cols, m.row_stride, m.col_stride};
}

template <class T>
matrix_view<T> transposed(const matrix_view<T>& m) {
    return {m.data, m.cols, m.rows, m.col_stride, m.row_stride};
}

} // namespace detail

} // namespace car::inline CAR_ABI
