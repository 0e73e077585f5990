// SPDX-License-Identifier: Apache-2.0
// Whatever the shapes, strides and places: a call refuses and writes nothing, or stays within its arrays, which then share no element.
#include "input.hpp"

#include <car/loss.hpp>

#include <set>
#include <stdexcept>

namespace {

constexpr std::ptrdiff_t room = 4096;

/// Does an array of non-negative sizes lie within the memory? The library cannot know.
bool lies_within(const car::matrix_view<float>& m, const std::vector<float>& memory) {
    if (m.rows <= 0 || m.cols <= 0 || m.data == nullptr) return true;
    for (const std::ptrdiff_t stride : {m.row_stride, m.col_stride})
        if (stride > room || stride < -room) return false;
    if (m.rows > room || m.cols > room) return false;
    const std::ptrdiff_t first = m.data - memory.data(), row = (m.rows - 1) * m.row_stride, column = (m.cols - 1) * m.col_stride;
    for (const std::ptrdiff_t at : {first, first + row, first + column, first + row + column})
        if (at < 0 || at >= room) return false;
    return true;
}

std::ptrdiff_t size(input& bytes, std::ptrdiff_t usual) {
    switch (bytes.below(24)) {
    case 0: return -1;
    case 1: return 0;
    case 2: return std::numeric_limits<std::ptrdiff_t>::max() - bytes.below(3);
    case 3: return std::numeric_limits<std::ptrdiff_t>::min();
    case 4: return std::ptrdiff_t{1} << (60 + bytes.below(3));
    case 5: return bytes.below(9);
    default: return usual;
    }
}

car::matrix_view<float> matrix(input& bytes, std::vector<float>& memory, std::ptrdiff_t rows, std::ptrdiff_t cols) {
    if (bytes.below(8) == 0) return {};
    float* first = bytes.below(16) == 0 ? nullptr : memory.data() + bytes.bits<std::uint16_t>() % room;
    const std::ptrdiff_t height = size(bytes, rows), width = size(bytes, cols);
    if (bytes.flag()) return {first, height, width};
    return {first, height, width, bytes.bits<std::int8_t>(), bytes.bits<std::int8_t>()};
}

void add_elements(const car::matrix_view<float>& m, std::multiset<const float*>& elements) {
    if (m)
        for (std::ptrdiff_t i = 0; i != m.rows; ++i)
            for (std::ptrdiff_t k = 0; k != m.cols; ++k) elements.insert(&m(i, k));
}

bool same_place(const car::matrix_view<float>& a, const car::matrix_view<float>& b) {
    return a.data == b.data && (a.rows < 2 || a.row_stride == b.row_stride) && (a.cols < 2 || a.col_stride == b.col_stride);
}

} // namespace

void fuzz(input& bytes) {
    std::vector<float> memory(room);
    for (std::size_t i = 0; i != memory.size(); ++i) memory[i] = static_cast<float>(i % 7) - 3;
    const std::vector<float> before = memory;
    const std::ptrdiff_t rows = bytes.below(6), classes = 1 + bytes.below(6);
    const auto p = matrix(bytes, memory, rows, classes);
    auto c = matrix(bytes, memory, rows, classes);
    car::loss_arrays<float> arrays;
    arrays.grad_p = bytes.below(4) == 0 ? p : matrix(bytes, memory, rows, classes);
    arrays.grad_c = bytes.below(4) == 0 ? c : matrix(bytes, memory, rows, classes);
    const auto terms = matrix(bytes, memory, rows, 1);
    if (terms) arrays.row_loss = {terms.data, terms.rows, terms.row_stride};
    const auto lse = car::matrix_view<float>(arrays.row_loss.data, arrays.row_loss.size, 1, arrays.row_loss.stride);
    const std::vector<int> labels(static_cast<std::size_t>(bytes.below(7)), 0);
    for (const auto& m : {p, c, arrays.grad_p, arrays.grad_c, lse})
        if (!lies_within(m, memory) && m.rows <= room && m.cols <= room) return;
    try {
        car::loss(p, c, labels, {.alpha = bytes.flag() ? 1.0 : 0.0, .gradients = bytes.choice<car::gradients>(2)}, arrays);
    } catch (const std::invalid_argument&) {
        hold(memory == before, "a refused call writes nothing");
        return;
    }
    std::multiset<const float*> written, read;
    add_elements(arrays.grad_p, written);
    add_elements(arrays.grad_c, written);
    add_elements(lse, written);
    for (const float* element : written) hold(written.count(element) == 1, "no element is written twice");
    if (!same_place(p, arrays.grad_p)) add_elements(p, read);
    if (!same_place(c, arrays.grad_c)) add_elements(c, read);
    for (const float* element : read)
        hold(written.count(element) == 0 || same_place(p, arrays.grad_p) || same_place(c, arrays.grad_c), "no input is written over");
    for (std::size_t i = 0; i != memory.size(); ++i)
        hold(written.count(&memory[i]) == 1 || memory[i] == before[i], "only outputs are written");
}
