// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "float_types.hpp" // term_of, the type of probabilities
#include "view.hpp"        // vectors and matrices

#include <concepts> // std::integral
#include <cstdint>  // std::int64_t, labels are read as
#include <cstring>  // std::memcpy
#include <limits>   // labels above the range of std::int64_t

namespace car::inline CAR_ABI {

namespace detail {

/// A vector whose element type is known only where it was made; read as Value.
template <class Value>
class erased_vector {
    const void* data_ = nullptr;
    std::ptrdiff_t size_ = 0;
    std::ptrdiff_t stride_ = 1;
    std::size_t width_ = 0;
    Value (*read_)(const void*, std::ptrdiff_t) = nullptr;

    template <class Int>
    static Value read(const void* data, std::ptrdiff_t at) {
        const Int value = static_cast<const Int*>(data)[at]; // NOLINT(clang-analyzer-core.NullDereference): every call refuses null
        if constexpr (std::unsigned_integral<Int> && sizeof(Int) == sizeof(std::int64_t) && std::same_as<Value, std::int64_t>) {
            constexpr auto top = static_cast<Int>(std::numeric_limits<std::int64_t>::max());
            return static_cast<std::int64_t>(value < top ? value : top); // out of range for every matrix that fits in memory
        } else {
            return static_cast<Value>(value);
        }
    }

  protected:
    erased_vector() = default;
    template <class Int>
    explicit erased_vector(const vector_view<Int>& v)
        : data_(v.data), size_(v.size), stride_(v.stride), width_(sizeof(Int)), read_(read<std::remove_cv_t<Int>>) {}

  public:
    Value operator[](std::ptrdiff_t i) const { return read_(data_, i * stride_); }
    const void* data() const { return data_; }
    std::ptrdiff_t size() const { return size_; }
    std::ptrdiff_t stride() const { return stride_; }
    std::size_t width() const { return width_; }
    explicit operator bool() const { return data_ != nullptr; }
};

template <class T>
concept index = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool>;

} // namespace detail

/// Class indices of any integer type, read as std::int64_t: a contiguous range, a strided view, or a matrix of one row or column.
class label_view : public detail::erased_vector<std::int64_t> {
  public:
    label_view() = default;

    /// Element i as a name, such as a cluster's: one above the range of std::int64_t keeps its bits, and is told from the others.
    std::int64_t name(std::ptrdiff_t i) const {
        if (width() != sizeof(std::int64_t)) return (*this)[i];
        std::int64_t bits = 0;
        std::memcpy(&bits, static_cast<const std::int64_t*>(data()) + i * stride(), sizeof bits);
        return bits;
    }

    template <detail::index Int>
    label_view(const vector_view<Int>& labels) : erased_vector(labels) {}

    template <class R>
        requires detail::index<detail::vector_element<R>> label_view(R&& labels) : label_view(detail::as_vector(labels)) {}
};

/// Which elements count: bools, or integers of which 0 is false. As label_view otherwise.
class mask_view : public detail::erased_vector<bool> {
  public:
    mask_view() = default;

    template <std::integral Int>
    mask_view(const vector_view<Int>& mask) : erased_vector(mask) {}

    template <class R>
        requires std::integral<detail::vector_element<R>> mask_view(R&& mask) : mask_view(detail::as_vector(mask)) {}
};

/// What the rows should be predicted as: N class indices, or N x C probabilities in the type of the terms, one row for each row.
template <class T>
class targets {
    label_view indices_;
    matrix_view<const term_of<T>> probabilities_;
    bool soft_ = false;

  public:
    targets() = default;

    template <std::convertible_to<label_view> Labels>
    targets(Labels&& labels) : indices_(labels) {}

    template <class Probabilities>
        requires(!std::convertible_to<Probabilities, label_view> && std::convertible_to<Probabilities, matrix_view<const term_of<T>>>)
    targets(Probabilities&& probabilities) : probabilities_(probabilities), soft_(true) {}

    bool are_probabilities() const { return soft_; }
    const label_view& indices() const { return indices_; }
    const matrix_view<const term_of<T>>& probabilities() const { return probabilities_; }
};

} // namespace car::inline CAR_ABI
