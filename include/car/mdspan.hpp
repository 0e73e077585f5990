// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "view.hpp" // view_traits, which this header specialises

#include <cstddef>     // std::ptrdiff_t
#include <type_traits> // std::is_same_v
#include <version>     // __cpp_lib_mdspan

#if __has_include(<mdspan>)
#include <mdspan> // std::mdspan, where the standard library has it: C++23
#endif

namespace car::inline CAR_ABI {

#ifdef __cpp_lib_mdspan
/// std::mdspan of any layout that has strides, without a copy: two dimensions are a matrix, one is a vector or labels. Where the
/// standard library has no std::mdspan, this header adds nothing.
template <class T, class Extents, class Layout, class Accessor>
struct view_traits<std::mdspan<T, Extents, Layout, Accessor>> {
    using span = std::mdspan<T, Extents, Layout, Accessor>;
    static_assert(Extents::rank() == 1 || Extents::rank() == 2, "car: this std::mdspan has neither one dimension nor two");
    static_assert(std::is_same_v<Accessor, std::default_accessor<T>>, "car: the accessor of this std::mdspan does more than read memory");
    static_assert(span::is_always_strided(), "car: the layout of this std::mdspan has no strides");

    static constexpr matrix_view<T> view(const span& m) requires(Extents::rank() == 2) {
        return {m.data_handle(), size(m, 0), size(m, 1), stride(m, 0), stride(m, 1)};
    }

    static constexpr vector_view<T> vector(const span& m) requires(Extents::rank() == 1) {
        return {m.data_handle(), size(m, 0), stride(m, 0)};
    }

  private:
    static constexpr std::ptrdiff_t size(const span& m, std::size_t dimension) { return static_cast<std::ptrdiff_t>(m.extent(dimension)); }
    static constexpr std::ptrdiff_t stride(const span& m, std::size_t dimension) {
        return static_cast<std::ptrdiff_t>(m.stride(dimension));
    }
};
#endif

} // namespace car::inline CAR_ABI
