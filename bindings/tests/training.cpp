// SPDX-License-Identifier: Apache-2.0
// Trains one hidden layer with car::loss in plain loops of doubles, and prints the loss of every step. Sizes, the rate, weights and
// batches come from a file, so that Python trains the same.
#include <car/loss.hpp>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

using numbers = std::vector<double>;

struct matrix {
    std::size_t rows, cols;
    numbers at;
    matrix(std::size_t r, std::size_t c) : rows(r), cols(c), at(r * c) {}
    double& operator()(std::size_t i, std::size_t j) { return at[i * cols + j]; }
    double operator()(std::size_t i, std::size_t j) const { return at[i * cols + j]; }
    car::matrix_view<double> view() { return {at.data(), static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(cols)}; }
};

matrix times(const matrix& a, const matrix& b, bool transposed_a = false, bool transposed_b = false) {
    const std::size_t inner = transposed_a ? a.rows : a.cols;
    matrix c(transposed_a ? a.cols : a.rows, transposed_b ? b.rows : b.cols);
    for (std::size_t i = 0; i != c.rows; ++i)
        for (std::size_t j = 0; j != c.cols; ++j)
            for (std::size_t k = 0; k != inner; ++k) c(i, j) += (transposed_a ? a(k, i) : a(i, k)) * (transposed_b ? b(j, k) : b(k, j));
    return c;
}

int main(int, char** argv) {
    std::ifstream file(argv[1], std::ios::binary);
    const auto number = [&] {
        double value = 0;
        file.read(reinterpret_cast<char*>(&value), sizeof value);
        return value;
    };
    const auto size = [&] { return static_cast<std::size_t>(number()); };
    const std::size_t steps = size(), rows = size(), inputs = size(), hidden = size(), classes = size();
    const double rate = number();
    const auto read = [&](std::size_t r, std::size_t c) {
        matrix m(r, c);
        for (double& value : m.at) value = number();
        return m;
    };
    matrix in = read(inputs, hidden), out = read(hidden, classes);
    for (std::size_t step = 0; step != steps; ++step) {
        const matrix images[2] = {read(rows, inputs), read(rows, inputs)};
        std::vector<std::int64_t> labels;
        for (std::size_t i = 0; i != rows; ++i) labels.push_back(static_cast<std::int64_t>(number()));
        matrix active[2] = {times(images[0], in), times(images[1], in)};
        for (matrix& layer : active)
            for (double& value : layer.at) value = std::tanh(value);
        matrix logits[2] = {times(active[0], out), times(active[1], out)};
        matrix slope[2] = {matrix(rows, classes), matrix(rows, classes)};
        const auto loss =
            car::loss(logits[0].view(), logits[1].view(), labels, {.alpha = 1}, {.grad_p = slope[0].view(), .grad_c = slope[1].view()});
        std::printf("%.17g\n", loss.value);
        const matrix held = out;
        for (int branch = 0; branch != 2; ++branch) {
            matrix back = times(slope[branch], held, false, true);
            for (std::size_t k = 0; k != back.at.size(); ++k) back.at[k] *= 1 - active[branch].at[k] * active[branch].at[k];
            const matrix to_out = times(active[branch], slope[branch], true), to_in = times(images[branch], back, true);
            for (std::size_t k = 0; k != out.at.size(); ++k) out.at[k] -= rate * to_out.at[k];
            for (std::size_t k = 0; k != in.at.size(); ++k) in.at[k] -= rate * to_in.at[k];
        }
    }
}
