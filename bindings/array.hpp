// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <car/float_types.hpp> // the types of logits
#include <car/image.hpp>       // image_view
#include <car/targets.hpp>     // labels, masks
#include <car/view.hpp>        // matrices and vectors

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace py = pybind11;

namespace binding {

enum class element { boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64, other };

const char* name_of(element type);

template <class T>
inline constexpr element element_of = element::other;
template <>
inline constexpr element element_of<float> = element::float32;
template <>
inline constexpr element element_of<double> = element::float64;
template <>
inline constexpr element element_of<car::bfloat16> = element::bfloat16;
template <>
inline constexpr element element_of<car::float16> = element::float16;
template <>
inline constexpr element element_of<std::int64_t> = element::int64;

inline bool is_logit(element type) { return type >= element::float16 && type <= element::float64; }
inline bool is_integer(element type) { return type >= element::int8 && type <= element::uint64; }

/// What is wrong is told by op and argument: `car::loss: p is ..., expected ...`.
[[noreturn]] void type_error(const char* op, const std::string& message);
[[noreturn]] void value_error(const char* op, const std::string& message);

/// An array that belongs to Python, in the memory where it lies: NumPy's, or any library's through DLPack. Never a copy of an array;
/// a list, which is none, becomes one.
class array {
    py::object owner_; // keeps the memory
    py::handle given_; // what the caller has; the call's arguments keep it
    const char* op_ = "";
    const char* name_ = "";
    void* data_ = nullptr;
    element type_ = element::other;
    int dimensions_ = 0;
    std::array<std::ptrdiff_t, 4> shape_{}, strides_{}; // strides in elements
    bool writable_ = false;

    bool from_numpy(py::handle object);
    void from_capsule(py::object capsule);
    template <class View>
    View integers() const;
    [[noreturn]] void apart() const;

    /// Height and width are the last axes. The first of three is that of channels, or of images.
    template <class T>
    car::image_view<T> planes(bool first_is_channel) const {
        if (!*this) return {};
        if (dimensions_ < 2) require_dimensions(4, "N x channels x height x width");
        const auto stride = [&](int axis) { return strides_[static_cast<std::size_t>(axis)]; };
        const int row = dimensions_ - 2, column = dimensions_ - 1;
        car::image_view<T> view(pointer<T>(), 1, 1, shape(row), shape(column));
        view.row_stride = stride(row);
        view.column_stride = stride(column);
        if (dimensions_ == 4 || first_is_channel) {
            view.channels = shape(dimensions_ - 3);
            view.channel_stride = stride(dimensions_ - 3);
        }
        if (dimensions_ == 4 || (dimensions_ == 3 && !first_is_channel)) {
            view.count = shape_[0];
            view.image_stride = stride(0);
        }
        return view;
    }

  public:
    array() = default;

    /// An input, converted to this type whatever it is.
    static array converted(const char* op, const char* name, py::handle object, element wanted);

    /// An input. What is no array is read as one of `wanted`, or of what NumPy makes of it.
    array(const char* op, const char* name, py::handle object, std::optional<element> wanted = {});

    /// An output: never converted, and it must be writable.
    static array output(const char* op, const char* name, py::handle object, element wanted);

    const char* name() const { return name_; }
    py::handle given() const { return given_; }
    element type() const { return type_; }
    const char* op() const { return op_; }
    int dimensions() const { return dimensions_; }
    std::ptrdiff_t shape(int axis) const { return shape_[static_cast<std::size_t>(axis)]; }
    explicit operator bool() const { return owner_.ptr() != nullptr; }

    /// Fails unless the elements are of this type, which is that of `of` where one is named.
    void require(element wanted, const char* of = nullptr) const;
    /// The logits' array: of a floating-point type.
    void require_logits() const;
    void require_dimensions(int wanted, const char* shape) const;
    std::vector<std::ptrdiff_t> shape() const { return {shape_.begin(), shape_.begin() + dimensions_}; }
    /// Fails where samples, which have three dimensions, are to be others.
    void require_samples(const std::vector<std::ptrdiff_t>& wanted) const;

    template <class T>
    T* pointer() const {
        return static_cast<T*>(data_);
    }

    /// N x C; or C, as one row.
    template <class T>
    car::matrix_view<T> matrix() const {
        if (!*this) return {};
        if (dimensions_ == 1) return {pointer<T>(), 1, shape_[0], shape_[0], strides_[0]};
        require_dimensions(2, "N x C");
        return {pointer<T>(), shape_[0], shape_[1], strides_[0], strides_[1]};
    }
    /// N x D; or B x N x D, the samples one after the other.
    template <class T>
    car::matrix_view<T> samples() const {
        if (dimensions_ != 3) return matrix<T>();
        if (shape_[1] == 1) return {pointer<T>(), shape_[0], shape_[2], strides_[0], strides_[2]};
        if (shape_[0] > 1 && shape_[1] > 0 && strides_[0] != shape_[1] * strides_[1]) apart();
        return {pointer<T>(), shape_[0] * shape_[1], shape_[2], strides_[1], strides_[2]};
    }
    /// N.
    template <class T>
    car::vector_view<T> vector() const {
        if (!*this) return {};
        if (dimensions_ == 0) return {pointer<T>(), 1};
        require_dimensions(1, "one dimension");
        return {pointer<T>(), shape_[0], strides_[0]};
    }
    /// N x channels x height x width; channels x height x width; or height x width.
    template <class T>
    car::image_view<T> images() const {
        return planes<T>(dimensions_ == 3);
    }
    /// N x 1 x height x width; N x height x width; or height x width.
    template <class T>
    car::image_view<T> frames() const {
        return planes<T>(false);
    }

    /// Any integer type.
    car::label_view labels() const;
    /// Bool, or any integer type.
    car::mask_view mask() const;
};

/// An array for a result, in the library that `like` is from.
class result_array {
    array array_;
    py::object object_, library_;

  public:
    result_array() = default;

    /// `wanted` is None or False: none. True: a new array. Else an array to write.
    result_array(const char* op, const char* name, py::handle wanted, const array& like, element type,
                 const std::vector<std::ptrdiff_t>& shape);

    const array& view() const { return array_; }
    explicit operator bool() const { return static_cast<bool>(array_); }

    /// What the caller gets. None where there is no array.
    py::object finish() const;
};

/// Calls with the type of the logits, or the images' pixels, as a value of it.
template <class Call>
auto with_type(element type, Call call) {
    switch (type) {
    case element::float64: return call(double{});
    case element::bfloat16: return call(car::bfloat16{});
    case element::float16: return call(car::float16{});
    default: return call(float{});
    }
}

} // namespace binding
