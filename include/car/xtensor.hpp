// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/fail.hpp" // an array of the wrong dimension
#include "view.hpp"        // view_traits, which this header specialises

#if __has_include(<xtensor/core/xexpression.hpp>) // 0.26 and later
#include <xtensor/core/xexpression.hpp>
#include <xtensor/utils/xutils.hpp>
#else
#include <xtensor/xexpression.hpp>
#include <xtensor/xutils.hpp>
#endif

#include <cstddef>     // std::ptrdiff_t
#include <cstdint>     // SIZE_MAX, xtensor's rank of an array whose rank is not known
#include <string>      // messages
#include <tuple>       // std::tuple_size
#include <type_traits> // std::remove_pointer_t

namespace car::inline CAR_ABI {

namespace detail {

/// The number of dimensions, SIZE_MAX where only the array itself knows. A view of a tensor states it by its shape alone.
template <class E>
inline constexpr std::size_t xtensor_rank = xt::get_rank<E>::value;
template <class E>
    requires(xt::get_rank<E>::value == SIZE_MAX && requires { std::tuple_size<typename E::shape_type>::value; })
inline constexpr std::size_t xtensor_rank<E> = std::tuple_size<typename E::shape_type>::value;

template <class E>
constexpr void require_memory() {
    static_assert(xt::has_data_interface<E>::value && xt::has_strides<E>::value,
                  "car: this xtensor expression has no memory of its own; call xt::eval on it, and on every reducer inside it");
}

/// xtensor gives the stride 0 to a dimension of size 1, which two arrays side by side in one memory would seem to share.
template <class E>
std::ptrdiff_t xtensor_stride(const E& array, std::size_t dimension) {
    return array.shape()[dimension] == 1 ? 1 : static_cast<std::ptrdiff_t>(array.strides()[dimension]);
}

[[noreturn]] inline void fail_dimension(std::size_t dimension, const char* expected) {
    fail("car::view: the xtensor array has dimension " + std::to_string(dimension) + ", expected " + expected);
}

} // namespace detail

/// xtensor arrays, tensors, adaptors and strided views, of either layout, without a copy: two dimensions are a matrix, one is a
/// vector or labels. An array whose dimension is not part of its type is asked when it is viewed; another dimension throws
/// std::invalid_argument. A lazy expression has no memory of its own and must be evaluated first, `xt::eval(a + b)`; a reducer by
/// itself: in every release of xtensor up to now `a - xt::amax(a, {1}, xt::keep_dims)` reads beyond the maxima and is wrong even
/// when it is evaluated, `a - xt::eval(xt::amax(a, {1}, xt::keep_dims))` is right.
template <class E>
requires xt::is_xexpression<E>::value struct view_traits<E> {
    static constexpr std::size_t rank = detail::xtensor_rank<E>;

    template <class Array>
        requires(rank != 1)
    static auto view(Array& array) {
        detail::require_memory<E>();
        static_assert(rank == 2 || rank == SIZE_MAX, "car: this xtensor array has neither one dimension nor two");
        if (array.dimension() != 2) detail::fail_dimension(array.dimension(), "2");
        return matrix_view<element<Array>>(array.data() + array.data_offset(), size(array, 0), size(array, 1),
                                           detail::xtensor_stride(array, 0), detail::xtensor_stride(array, 1));
    }

    template <class Array>
        requires(rank == 1 || rank == SIZE_MAX)
    static auto vector(Array& array) {
        detail::require_memory<E>();
        using vector = vector_view<element<Array>>;
        if (array.dimension() == 1) return vector(array.data() + array.data_offset(), size(array, 0), detail::xtensor_stride(array, 0));
        if constexpr (rank != 1)
            if (array.dimension() == 2) return vector(view(array)); // one row or one column
        detail::fail_dimension(array.dimension(), "1");
    }

  private:
    template <class Array>
    using element = std::remove_pointer_t<decltype(std::declval<Array&>().data())>;

    template <class Array>
    static std::ptrdiff_t size(const Array& array, std::size_t dimension) {
        return static_cast<std::ptrdiff_t>(array.shape()[dimension]);
    }
};

} // namespace car::inline CAR_ABI
