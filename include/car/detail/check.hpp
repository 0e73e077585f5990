// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../targets.hpp" // labels and masks
#include "../view.hpp"    // matrices and vectors
#include "fail.hpp"       // fail, shape_text

#include <algorithm>        // std::min, std::max
#include <cmath>            // std::isfinite
#include <cstddef>          // std::ptrdiff_t
#include <cstdint>          // std::uintptr_t
#include <initializer_list> // the arrays of a call
#include <limits>           // the largest size
#include <string>           // messages

namespace car::inline CAR_ABI::detail {

/// The memory of an array, so that arrays of different types can be compared. Strides count elements; steps, bytes. Of one row (or
/// column) there is no step, whatever its stride.
struct footprint {
    const char* name = nullptr;
    const void* data = nullptr;
    std::ptrdiff_t rows = 0, cols = 0, row_stride = 0, col_stride = 0, width = 0;

    bool empty() const { return data == nullptr || rows == 0 || cols == 0; }
    std::ptrdiff_t row_step() const { return rows < 2 ? 0 : row_stride * width; }
    std::ptrdiff_t col_step() const { return cols < 2 ? 0 : col_stride * width; }
    std::ptrdiff_t first() const {
        return std::min<std::ptrdiff_t>(0, (rows - 1) * row_step()) + std::min<std::ptrdiff_t>(0, (cols - 1) * col_step());
    }
    std::ptrdiff_t last() const { // one past the end
        return std::max<std::ptrdiff_t>(0, (rows - 1) * row_step()) + std::max<std::ptrdiff_t>(0, (cols - 1) * col_step()) + width;
    }
    bool same(const footprint& other) const {
        return data == other.data && width == other.width && row_step() == other.row_step() && col_step() == other.col_step();
    }
    /// Do its elements lie apart?
    bool is_injective() const {
        const std::ptrdiff_t row = std::abs(row_step()), col = std::abs(col_step());
        if (rows < 2) return cols < 2 || col >= width;
        if (cols < 2) return row >= width;
        return (row >= (cols - 1) * col + width && col >= width) || (col >= (rows - 1) * row + width && row >= width);
    }
};

template <class T, class Space>
footprint footprint_of(const char* name, const matrix_view<T, Space>& m) {
    return {name, m.data, m.rows, m.cols, m.row_stride, m.col_stride, sizeof(T)};
}
template <class T, class Space>
footprint footprint_of(const char* name, const vector_view<T, Space>& v) {
    return {name, v.data, v.size, 1, v.stride, 1, sizeof(T)};
}
template <class Value>
footprint footprint_of(const char* name, const erased_vector<Value>& v) {
    return {name, v.data(), v.size(), 1, v.stride(), 1, static_cast<std::ptrdiff_t>(v.width())};
}

/// Do two arrays share memory? Exact for disjoint ranges and for blocks of one matrix side by side; otherwise, yes.
inline bool overlap(const footprint& a, const footprint& b) {
    if (a.empty() || b.empty()) return false;
    const auto base_a = reinterpret_cast<std::uintptr_t>(a.data), base_b = reinterpret_cast<std::uintptr_t>(b.data);
    const auto begin_a = base_a + static_cast<std::uintptr_t>(a.first()), end_a = base_a + static_cast<std::uintptr_t>(a.last());
    const auto begin_b = base_b + static_cast<std::uintptr_t>(b.first()), end_b = base_b + static_cast<std::uintptr_t>(b.last());
    if (end_a <= begin_b || end_b <= begin_a) return false;

    // Within each period of the one direction, the extents of both in the other lie apart.
    const auto side_by_side = [&](std::ptrdiff_t period, std::ptrdiff_t other, std::ptrdiff_t cells_a, std::ptrdiff_t cells_b,
                                  std::ptrdiff_t step_a, std::ptrdiff_t step_b) {
        if (period != other || period <= 0 || step_a < 0 || step_b < 0) return false;
        const auto distance = static_cast<std::ptrdiff_t>(base_b - base_a) % period;
        const auto offset = distance < 0 ? distance + period : distance;
        return offset >= (cells_a - 1) * step_a + a.width && offset + (cells_b - 1) * step_b + b.width <= period;
    };
    return !side_by_side(a.row_step(), b.row_step(), a.cols, b.cols, a.col_step(), b.col_step()) &&
           !side_by_side(a.col_step(), b.col_step(), a.rows, b.rows, a.row_step(), b.row_step());
}

/// The checks of a call, each of which fails with a message that begins `car::<op>:`.
class checker {
    const char* op_;

  public:
    explicit checker(const char* op) : op_(op) {}

    [[noreturn]] void fail(const std::string& message) const { detail::fail(std::string("car::") + op_ + ": " + message); }

    void require(bool condition, const char* message) const {
        if (!condition) fail(message);
    }

    /// Either all rows of a sample have clusters, or none.
    void same_units(bool taken) const {
        require(taken, "clusters are those of some rows, expected them for all rows of a sample or for none");
    }

    void finite(const char* name, double value) const {
        if (!std::isfinite(value)) fail(std::string(name) + " is " + std::to_string(value) + ", expected a finite number");
    }
    void positive(const char* name, double value) const {
        if (!(std::isfinite(value) && value > 0)) fail(std::string(name) + " is " + std::to_string(value) + ", expected a positive number");
    }

    /// A matrix that can be read: at least one column, no negative or overflowing size, memory behind it.
    void readable(const footprint& m) const {
        const auto size = [&] { return shape_text(m.rows, m.cols); };
        if (m.rows < 0) fail(std::string(m.name) + " has shape " + size() + ", expected no negative size");
        if (m.cols < 1) fail(std::string(m.name) + " has shape " + size() + ", expected at least one column");
        const auto limit = static_cast<double>(std::numeric_limits<std::ptrdiff_t>::max()) / 4;
        const auto rows = static_cast<double>(m.rows), cols = static_cast<double>(m.cols), width = static_cast<double>(m.width);
        const auto reach = [](double cells, double stride) { return cells > 1 ? (cells - 1) * std::abs(stride) : 0; };
        if (rows * cols > limit / width ||
            reach(rows, static_cast<double>(m.row_stride)) + reach(cols, static_cast<double>(m.col_stride)) > limit / width)
            fail(std::string(m.name) + " has shape " + size() + ", which is larger than memory");
        if (m.rows != 0 && m.data == nullptr) fail(std::string(m.name) + " is null, expected " + size() + " elements");
    }

    void shape(const footprint& m, std::ptrdiff_t rows, std::ptrdiff_t cols) const {
        if (m.rows != rows || m.cols != cols)
            fail(std::string(m.name) + " has shape " + shape_text(m.rows, m.cols) + ", expected " + shape_text(rows, cols));
        readable(m);
    }

    /// Outputs may be exactly the input they are paired with. Any other shared memory is refused.
    struct output {
        footprint array;
        const void* in_place_of = nullptr;
    };
    void separate(std::initializer_list<output> outputs, std::initializer_list<footprint> inputs) const {
        for (auto out = outputs.begin(); out != outputs.end(); ++out) {
            const footprint& a = out->array;
            if (a.empty()) continue;
            if (!a.is_injective()) fail(std::string(a.name) + " has strides that make its elements overlap");
            for (const footprint& b : inputs) {
                const bool in_place = out->in_place_of == b.data && a.same(b);
                if (!in_place && overlap(a, b)) fail(std::string(a.name) + " overlaps " + b.name);
            }
            for (auto other = outputs.begin(); other != out; ++other) {
                if (overlap(a, other->array)) fail(std::string(a.name) + " overlaps " + other->array.name);
            }
        }
    }

    /// Every label is a class or the ignored index, unless the row is ignored otherwise.
    template <class Ignored>
    void labels(const label_view& labels, std::ptrdiff_t rows, std::ptrdiff_t classes, std::int64_t ignore_index, Ignored ignored) const {
        if (labels.size() != rows)
            fail("labels has size " + std::to_string(labels.size()) + ", expected " + std::to_string(rows) + ", one for each row");
        require(rows == 0 || labels.data() != nullptr, "labels is null");
        for (std::ptrdiff_t i = 0; i != rows; ++i) {
            const std::int64_t label = labels[i];
            if (label != ignore_index && (label < 0 || label >= classes) && !ignored(i))
                fail("label in row " + std::to_string(i) + " is " + std::to_string(label) + ", expected 0 to " +
                     std::to_string(classes - 1) + " or ignore_index " + std::to_string(ignore_index));
        }
    }
    void labels(const label_view& all, std::ptrdiff_t rows, std::ptrdiff_t classes, std::int64_t ignore_index) const {
        labels(all, rows, classes, ignore_index, [](std::ptrdiff_t) { return false; });
    }
};

} // namespace car::inline CAR_ABI::detail
