// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/check.hpp" // fail, shape_text
#include "detail/part.hpp"  // a mask's share of a pixel
#include "view.hpp"         // host, device

#include <algorithm>   // std::sort, std::max
#include <array>       // the four axes
#include <cmath>       // std::abs of a double
#include <cstddef>     // std::ptrdiff_t, std::size_t
#include <cstdint>     // std::uintptr_t
#include <cstdlib>     // std::abs of a stride
#include <limits>      // the largest size
#include <string>      // messages
#include <type_traits> // std::is_same_v
#include <utility>     // std::pair

namespace car::inline CAR_ABI {

namespace detail {

/// Wraps where it overflows: a view of such a size can be made, the call that gets it refuses.
constexpr std::ptrdiff_t product(std::ptrdiff_t a, std::ptrdiff_t b) {
    return static_cast<std::ptrdiff_t>(static_cast<std::size_t>(a) * static_cast<std::size_t>(b));
}

} // namespace detail

/// N images, or the frames of a clip, that somebody else owns: element (n, channel, y, x) is
/// `data[n * image_stride + channel * channel_stride + y * row_stride + x * column_stride]`.
template <class T, class Space = host>
struct image_view {
    using element_type = T;

    T* data = nullptr;
    std::ptrdiff_t count = 0, channels = 0, height = 0, width = 0;
    std::ptrdiff_t image_stride = 0, channel_stride = 0, row_stride = 0, column_stride = 1;

    constexpr image_view() = default;

    /// Contiguous, channels first: count x channels x height x width.
    constexpr image_view(T* first, std::ptrdiff_t images, std::ptrdiff_t planes, std::ptrdiff_t rows, std::ptrdiff_t columns)
        : data(first), count(images), channels(planes), height(rows), width(columns),
          image_stride(detail::product(planes, detail::product(rows, columns))), channel_stride(detail::product(rows, columns)),
          row_stride(columns) {}

    template <class U>
        requires(!std::is_same_v<U, T> && detail::qualifies_to<U, T>)
    constexpr image_view(const image_view<U, Space>& other)
        : data(other.data), count(other.count), channels(other.channels), height(other.height), width(other.width),
          image_stride(other.image_stride), channel_stride(other.channel_stride), row_stride(other.row_stride),
          column_stride(other.column_stride) {}

    constexpr T& operator()(std::ptrdiff_t n, std::ptrdiff_t channel, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return data[n * image_stride + channel * channel_stride + y * row_stride + x * column_stride];
    }
    constexpr explicit operator bool() const { return data != nullptr; }
};

/// Contiguous, channels last: count x height x width x channels.
template <class T>
constexpr image_view<T> channels_last(T* first, std::ptrdiff_t images, std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t planes) {
    image_view<T> view(first, images, planes, rows, columns);
    view.channel_stride = 1;
    view.row_stride = detail::product(columns, planes);
    view.column_stride = planes;
    return view;
}

namespace detail {

inline std::string shape_text(std::ptrdiff_t count, std::ptrdiff_t channels, std::ptrdiff_t height, std::ptrdiff_t width) {
    return std::to_string(count) + " x " + std::to_string(channels) + " x " + shape_text(height, width);
}

/// The checks of a call on images.
class image_checker : public checker {
    template <class T, class Space>
    static std::string text(const image_view<T, Space>& v) {
        return shape_text(v.count, v.channels, v.height, v.width);
    }
    struct extent {
        std::uintptr_t begin, end;
    };
    template <class T, class Space>
    static extent extent_of(const image_view<T, Space>& v) {
        std::ptrdiff_t first = 0, last = 0;
        const auto reach = [&](std::ptrdiff_t size, std::ptrdiff_t stride) {
            if (size > 1) (stride < 0 ? first : last) += (size - 1) * stride; // a stride that is never taken may be anything
        };
        reach(v.count, v.image_stride);
        reach(v.channels, v.channel_stride);
        reach(v.height, v.row_stride);
        reach(v.width, v.column_stride);
        const auto base = reinterpret_cast<std::uintptr_t>(v.data);
        return {base + static_cast<std::uintptr_t>(first) * sizeof(T), base + static_cast<std::uintptr_t>(last + 1) * sizeof(T)};
    }

  public:
    using checker::checker;

    /// Memory behind at least one channel and one pixel, no negative or overflowing size or stride.
    template <class T, class Space>
    void readable(const char* name, const image_view<T, Space>& v) const {
        if (v.count < 0 || v.channels < 1 || v.height < 1 || v.width < 1)
            fail(std::string(name) + " has shape " + text(v) + ", expected at least one channel and one pixel and no negative size");
        constexpr auto limit = static_cast<double>(std::numeric_limits<std::ptrdiff_t>::max());
        double elements = 1, reach = 0;
        const auto axis = [&](std::ptrdiff_t size, std::ptrdiff_t stride) {
            elements *= static_cast<double>(std::max<std::ptrdiff_t>(size, 1));
            if (size > 1) reach += static_cast<double>(size - 1) * std::abs(static_cast<double>(stride));
        };
        axis(v.count, v.image_stride);
        axis(v.channels, v.channel_stride);
        axis(v.height, v.row_stride);
        axis(v.width, v.column_stride);
        if (elements > limit / 16 || reach > limit / 16)
            fail(std::string(name) + " has shape " + text(v) + " and strides that reach further than memory");
        if (v.count != 0 && v.data == nullptr) fail(std::string(name) + " is null, expected " + text(v) + " elements");
    }

    template <class T, class Space>
    void shape(const char* name, const image_view<T, Space>& v, std::ptrdiff_t count, std::ptrdiff_t channels, std::ptrdiff_t height,
               std::ptrdiff_t width) const {
        if (v.count != count || v.channels != channels || v.height != height || v.width != width)
            fail(std::string(name) + " has shape " + text(v) + ", expected " + shape_text(count, channels, height, width));
        readable(name, v);
    }

    /// No two elements of an output are one. Exact for the layouts in which one stride steps over all that a smaller one reaches.
    template <class T, class Space>
    void distinct(const char* name, const image_view<T, Space>& v) const {
        std::array<std::pair<std::ptrdiff_t, std::ptrdiff_t>, 4> axes{
            {{v.image_stride, v.count}, {v.channel_stride, v.channels}, {v.row_stride, v.height}, {v.column_stride, v.width}}};
        if (v.count == 0 || v.channels == 0 || v.height == 0 || v.width == 0) return;
        for (auto& [stride, size] : axes) stride = size < 2 ? 0 : std::abs(stride);
        std::sort(axes.begin(), axes.end());
        std::ptrdiff_t reached = 0;
        for (const auto& [stride, size] : axes) {
            if (size < 2) continue;
            if (stride <= reached) fail(std::string(name) + " has strides that make its elements overlap");
            reached += (size - 1) * stride;
        }
    }

    /// An output is exactly an input, where that is allowed, or shares no range of memory with it. Ranges, not elements: an output in
    /// the gaps of an input, as the channels of one interleaved buffer are, is refused too.
    template <class T, class U, class Space>
    void separate(const char* name, const image_view<T, Space>& out, const char* other_name, const image_view<U, Space>& other,
                  bool in_place) const {
        if (out.data == nullptr || other.data == nullptr || out.count == 0 || other.count == 0) return;
        const auto same = [](std::ptrdiff_t size, std::ptrdiff_t stride, std::ptrdiff_t other_size, std::ptrdiff_t other_stride) {
            return size == other_size && (size < 2 || stride == other_stride);
        };
        if (in_place && out.data == other.data && same(out.count, out.image_stride, other.count, other.image_stride) &&
            same(out.channels, out.channel_stride, other.channels, other.channel_stride) &&
            same(out.height, out.row_stride, other.height, other.row_stride) &&
            same(out.width, out.column_stride, other.width, other.column_stride))
            return;
        const extent a = extent_of(out), b = extent_of(other);
        if (a.begin < b.end && b.begin < a.end) fail(std::string(name) + " overlaps " + other_name);
    }

    void between(const char* name, double value, double low, double high) const {
        if (!(value >= low && value <= high))
            fail(std::string(name) + " is " + std::to_string(value) + ", expected " + std::to_string(low) + " to " + std::to_string(high));
    }
};

} // namespace detail

} // namespace car::inline CAR_ABI
