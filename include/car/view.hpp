// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "version.hpp" // CAR_ABI

#include <array>       // rows of fixed size
#include <concepts>    // std::convertible_to
#include <cstddef>     // std::ptrdiff_t
#include <iterator>    // std::data, std::size
#include <type_traits> // the conversions of pointers

namespace car::inline CAR_ABI {

/// Where an array lives. A view of the host's memory does not convert to one of a device's, nor back.
struct host {};
struct device {};

/// A vector that somebody else owns: `data[i * stride]`, i < size.
template <class T, class Space = host>
struct vector_view;

/// A matrix that somebody else owns: `data[i * row_stride + j * col_stride]`, i < rows, j < cols; strides count elements.
template <class T, class Space = host>
struct matrix_view;

/// How a type becomes a view. Adapters specialise it: `static matrix_view<T or const T> view(M&)`, and for a type that has one
/// dimension, or may have, `static vector_view<T or const T> vector(M&)`.
template <class M>
struct view_traits {};

/// Anything that becomes a matrix_view: the views, adapted matrices, contiguous rows of fixed size.
template <class M>
concept matrix = requires(M& m) {
    view_traits<std::remove_cv_t<M>>::view(m);
};

/// The matrix_view of a matrix; elements are const where the matrix is.
template <class M>
    requires matrix<std::remove_reference_t<M>>
constexpr auto view(M&& m) { return view_traits<std::remove_cvref_t<M>>::view(m); }

namespace detail {

template <class From, class To>
concept qualifies_to = std::convertible_to<From (*)[], To (*)[]>; // the same type, perhaps more const

/// Has it iterators that step over something, as those of another library's rows may?
template <class R>
concept stepping = requires(R& r) {
    std::begin(r);
    requires !std::contiguous_iterator<decltype(std::begin(r))>;
};
template <class R>
concept contiguous = !stepping<R> && requires(R & r) {
    { std::data(r) } -> std::convertible_to<const volatile void*>;
    { std::size(r) } -> std::convertible_to<std::size_t>;
    requires !std::is_void_v<std::remove_pointer_t<decltype(std::data(r))>>;
};

template <class R>
using element = std::remove_pointer_t<decltype(std::data(std::declval<R&>()))>;

template <class M>
inline constexpr bool is_view = false;
template <class T, class Space>
inline constexpr bool is_view<matrix_view<T, Space>> = true;

template <class M>
using viewed = typename decltype(car::view(std::declval<M&>()))::element_type;

template <class R>
concept adapted_vector = requires(R& r) {
    view_traits<std::remove_cv_t<R>>::vector(r);
};

/// What has one dimension: an adapted vector, a matrix of one row or one column, a contiguous range. A matrix of any other shape is a
/// vector of size -1, which every call refuses.
template <class R>
    requires(adapted_vector<R> || matrix<R> || contiguous<R>)
constexpr auto as_vector(R& r) {
    if constexpr (adapted_vector<R>) {
        return view_traits<std::remove_cv_t<R>>::vector(r);
    } else if constexpr (matrix<R>) {
        const auto m = car::view(r);
        return vector_view<viewed<R>>(m.data, m.cols == 1 ? m.rows : m.rows == 1 ? m.cols : -1, m.cols == 1 ? m.row_stride : m.col_stride);
    } else {
        auto* const first = std::size(r) == 0 ? nullptr : std::data(r); // an empty range is no array
        return vector_view<element<R>>(first, static_cast<std::ptrdiff_t>(std::size(r)));
    }
}

template <class R>
using vector_element = typename decltype(as_vector(std::declval<std::remove_reference_t<R>&>()))::element_type;

} // namespace detail

/// The arithmetic type of a matrix: float or double.
template <matrix M>
using scalar_of = std::remove_const_t<detail::viewed<M>>;

template <class T, class Space>
struct vector_view {
    using element_type = T;

    T* data = nullptr;
    std::ptrdiff_t size = 0;
    std::ptrdiff_t stride = 1;

    constexpr vector_view() = default;
    constexpr vector_view(T* first, std::ptrdiff_t count, std::ptrdiff_t step = 1) : data(first), size(count), stride(step) {}

    /// From a contiguous range, an adapted vector, or a matrix of one row or one column.
    template <class R>
        requires(std::same_as<Space, host>&& detail::qualifies_to<detail::vector_element<R>, T>)
    constexpr vector_view(R&& range) : vector_view(detail::as_vector(range)) {}

    template <class U>
        requires(!std::same_as<U, T> && detail::qualifies_to<U, T>)
    constexpr vector_view(const vector_view<U, Space>& v) : data(v.data), size(v.size), stride(v.stride) {}

    constexpr T& operator[](std::ptrdiff_t i) const { return data[i * stride]; }
    constexpr explicit operator bool() const { return data != nullptr; }
};

template <class T, class Space>
struct matrix_view {
    using element_type = T;

    T* data = nullptr;
    std::ptrdiff_t rows = 0;
    std::ptrdiff_t cols = 0;
    std::ptrdiff_t row_stride = 0;
    std::ptrdiff_t col_stride = 1;

    constexpr matrix_view() = default;

    /// Contiguous rows.
    constexpr matrix_view(T* first, std::ptrdiff_t height, std::ptrdiff_t width) : matrix_view(first, height, width, width) {}

    /// Rows `row_step` elements apart; columns 1 apart, or `col_step`.
    constexpr matrix_view(T* first, std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t row_step, std::ptrdiff_t col_step = 1)
        : data(first), rows(height), cols(width), row_stride(row_step), col_stride(col_step) {}

    /// From anything that has view_traits.
    template <class M>
        requires(matrix<std::remove_reference_t<M>> && !detail::is_view<std::remove_cvref_t<M>> && std::same_as<Space, host> &&
                 detail::qualifies_to<detail::viewed<std::remove_reference_t<M>>, T>)
    constexpr matrix_view(M&& m) : matrix_view(car::view(m)) {}

    template <class U>
        requires(!std::same_as<U, T> && detail::qualifies_to<U, T>)
    constexpr matrix_view(const matrix_view<U, Space>& m) : matrix_view(m.data, m.rows, m.cols, m.row_stride, m.col_stride) {}

    constexpr T& operator()(std::ptrdiff_t i, std::ptrdiff_t j) const { return data[i * row_stride + j * col_stride]; }
    constexpr vector_view<T, Space> row(std::ptrdiff_t i) const { return {data + i * row_stride, cols, col_stride}; }
    constexpr explicit operator bool() const { return data != nullptr; }
};

/// A matrix that is only read; its type follows the first matrix of the call.
template <class T>
using input = matrix_view<const std::type_identity_t<T>>;

template <class T>
struct view_traits<matrix_view<T>> {
    static constexpr matrix_view<T> view(const matrix_view<T>& m) { return m; }
};

namespace detail {

template <class Row>
struct fixed_row {};
template <class T, std::size_t Cols>
struct fixed_row<std::array<T, Cols>> {
    using type = T;
    static constexpr std::ptrdiff_t cols = Cols;
};
template <class T, std::size_t Cols>
struct fixed_row<const std::array<T, Cols>> : fixed_row<std::array<const T, Cols>> {};

} // namespace detail

/// Rows of fixed size in a contiguous range: std::vector<std::array<float, 10>>, std::span<...>.
template <class R>
    requires(detail::contiguous<R>&& requires { typename detail::fixed_row<detail::element<R>>::type; })
struct view_traits<R> {
    template <class Rows>
    static constexpr auto view(Rows& rows) {
        using row = detail::fixed_row<detail::element<Rows>>;
        using T = typename row::type;
        static_assert(sizeof(*std::data(rows)) == sizeof(T) * row::cols);
        T* first = std::size(rows) ? std::data(*std::data(rows)) : nullptr;
        return matrix_view<T>(first, static_cast<std::ptrdiff_t>(std::size(rows)), row::cols);
    }
};

/// A vector of vectors has no one stride: it is refused, and told why.
template <class R>
    requires(detail::contiguous<R>&& std::is_class_v<detail::element<R>>&& detail::contiguous<detail::element<R>> &&
             !requires { typename detail::fixed_row<detail::element<R>>::type; })
struct view_traits<R> {
    template <class Rows>
    static constexpr auto view(Rows&) {
        static_assert(!std::same_as<Rows, Rows>,
                      "car: rows of a nested vector are not contiguous; keep them in one vector and make a car::matrix_view of it");
        return matrix_view<detail::element<detail::element<Rows>>>();
    }
};

/// A built-in matrix, T[rows][cols].
// clang-format off
template <class T, std::size_t Rows, std::size_t Cols>
struct view_traits<T[Rows][Cols]> {
    static constexpr matrix_view<T> view(T (&m)[Rows][Cols]) { return {m[0], Rows, Cols}; }
    static constexpr matrix_view<const T> view(const T (&m)[Rows][Cols]) { return {m[0], Rows, Cols}; }
};
// clang-format on

} // namespace car::inline CAR_ABI
