// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../detail/check.hpp" // footprint
#include "../../options.hpp"      // loss_result
#include "../../targets.hpp"      // detail::index

#include <cstddef> // std::byte

namespace car::inline CAR_ABI {

/// A matrix on a device that is only read; its type follows the first matrix of the call.
template <class T>
using device_input = matrix_view<const std::type_identity_t<T>, device>;

/// Integers on a device, of any type.
class device_integers {
    const void* data_ = nullptr;
    std::ptrdiff_t size_ = 0, stride_ = 1;
    int width_ = 0;
    bool is_signed_ = false;

  protected:
    device_integers() = default;
    template <class Int>
    explicit device_integers(const vector_view<Int, device>& v)
        : data_(v.data), size_(v.size), stride_(v.stride), width_(sizeof(Int)), is_signed_(std::is_signed_v<Int>) {}

  public:
    const void* data() const { return data_; }
    std::ptrdiff_t size() const { return size_; }
    std::ptrdiff_t stride() const { return stride_; }
    int width() const { return width_; }
    bool is_signed() const { return is_signed_; }
    explicit operator bool() const { return data_ != nullptr; }
};

/// Class indices on a device.
class device_labels : public device_integers {
  public:
    device_labels() = default;
    template <detail::index Int>
    device_labels(const vector_view<Int, device>& labels) : device_integers(labels) {}
};

/// Which elements count: bools, or integers of which 0 is false.
class device_mask : public device_integers {
  public:
    device_mask() = default;
    template <std::integral Int>
    device_mask(const vector_view<Int, device>& mask) : device_integers(mask) {}
};

/// The optional arrays of a loss on a device, as loss_arrays. What the host's call returns comes in `result`, an array of one; where
/// there is one, or a mean whose divisor is not given, the call needs a workspace of loss_workspace(N) bytes.
template <class T>
struct device_loss_arrays {
    matrix_view<T, device> grad_p = {};                       ///< N x C
    matrix_view<T, device> grad_c = {};                       ///< N x C
    vector_view<term_of<T>, device> row_loss = {};            ///< N
    vector_view<term_of<T>, device> row_cross_entropy = {};   ///< N
    vector_view<term_of<T>, device> row_divergence = {};      ///< N
    vector_view<term_of<T>, device> lse_p = {};               ///< N
    vector_view<term_of<T>, device> lse_y = {};               ///< N
    vector_view<std::int64_t, device> predicted = {};         ///< N
    vector_view<loss_result, device> result = {};             ///< 1
    vector_view<std::byte, device> workspace = {};            ///< begins at a multiple of 16
    vector_view<const term_of<T>, device> upstream = {};      ///< N
    vector_view<const term_of<T>, device> weight = {};        ///< C
    vector_view<const term_of<T>, device> sample_weight = {}; ///< N
    device_mask row_mask = {};                                ///< N
};

namespace detail {

inline footprint footprint_of(const char* name, const device_integers& v) {
    return {name, v.data(), v.size(), 1, v.stride(), 1, v.width()};
}

} // namespace detail

namespace kernel::device_row {

/// What the reduction of the rows keeps of each.
struct row_figures {
    double cross_entropy, divergence, log_sum;
    std::int32_t what, correct;
};

/// How many rows become one part of the result, and how many bytes that has.
inline constexpr std::ptrdiff_t chunk = 4096, part_bytes = 128;

constexpr std::ptrdiff_t chunks(std::ptrdiff_t rows) { return (rows + chunk - 1) / chunk; }

} // namespace kernel::device_row

/// How many bytes the workspace of a loss of so many rows has.
constexpr std::ptrdiff_t loss_workspace(std::ptrdiff_t rows) {
    using kernel::device_row::chunks, kernel::device_row::part_bytes, kernel::device_row::row_figures;
    return (1 + chunks(rows)) * part_bytes + rows * static_cast<std::ptrdiff_t>(sizeof(row_figures));
}

} // namespace car::inline CAR_ABI
