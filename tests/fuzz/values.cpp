// SPDX-License-Identifier: Apache-2.0
// Whatever the logits are: a row is what it is alone, terms are never negative, a row without an answer is reported.
#include "input.hpp"

#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include <cmath>

namespace {

template <class T>
bool same_bits(const std::vector<T>& a, std::size_t first, const std::vector<T>& b) {
    for (std::size_t k = 0; k != b.size(); ++k) {
        const bool both_nan = std::isnan(static_cast<double>(a[first + k])) && std::isnan(static_cast<double>(b[k]));
        if (!both_nan && std::memcmp(&a[first + k], &b[k], sizeof(T)) != 0) return false;
    }
    return true;
}

template <class T>
void fuzz_values(input& bytes) {
    using term = car::term_of<T>;
    const std::ptrdiff_t rows = 1 + bytes.below(3), classes = 1 + bytes.below(40); // tiles, and rows by themselves
    const auto n = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(classes);
    const auto options = bytes.valid_options();
    const auto p = bytes.numbers<T>(rows * classes), c = bytes.numbers<T>(rows * classes);
    std::vector<int> labels;
    for (std::size_t i = 0; i != n; ++i) labels.push_back(static_cast<int>(bytes.below(classes)));

    std::vector<T> grad_p(p.size()), grad_c(p.size()), turn(p.size()), softmax(p.size());
    std::vector<term> loss(n), cross_entropy(n), divergence(n);
    const car::matrix_view<const T> P(p.data(), rows, classes), C(c.data(), rows, classes);
    const auto result = car::loss(P, C, labels, options,
                                  {.grad_p = {grad_p.data(), rows, classes},
                                   .grad_c = {grad_c.data(), rows, classes},
                                   .row_loss = loss,
                                   .row_cross_entropy = cross_entropy,
                                   .row_divergence = divergence});
    car::loss_hvp(P, C, labels, {.p = C, .c = P}, options, {.grad_p = {turn.data(), rows, classes}});
    car::softmax(P, car::matrix_view<T>(softmax.data(), rows, classes));

    std::ptrdiff_t faults = 0;
    auto alone = options;
    alone.reduction = car::reduction::mean;
    alone.divisor = options.reduction == car::reduction::mean ? static_cast<double>(rows) : 1;
    for (std::size_t i = 0; i != n; ++i) {
        const bool no_answer = std::isnan(cross_entropy[i]) || (options.alpha != 0 && std::isnan(divergence[i]));
        faults += no_answer;
        hold(!(cross_entropy[i] < 0), "a cross-entropy is not negative");
        hold(!(divergence[i] < 0), "a divergence is not negative");
        double sum = 0;
        for (std::size_t k = 0; k != width; ++k) sum += static_cast<double>(softmax[i * width + k]);
        hold(std::isnan(sum) || std::abs(sum - 1) < 0.01 * static_cast<double>(classes), "a softmax adds up to 1");

        std::vector<T> row_p(width), row_c(width);
        std::vector<term> row_loss(1);
        const auto at = static_cast<std::ptrdiff_t>(i);
        car::loss(car::matrix_view<const T>(p.data() + at * classes, 1, classes), {c.data() + at * classes, 1, classes},
                  std::vector{labels[i]}, alone,
                  {.grad_p = {row_p.data(), 1, classes}, .grad_c = {row_c.data(), 1, classes}, .row_loss = row_loss});
        hold(same_bits(grad_p, i * width, row_p) && same_bits(grad_c, i * width, row_c) && same_bits(loss, i, row_loss),
             "a row depends on itself alone");
    }
    hold(result.status.rows == faults, "every row without an answer is reported, and no other");
}

} // namespace

void fuzz(input& bytes) {
    switch (bytes.below(4)) {
    case 0: return fuzz_values<double>(bytes);
    case 1: return fuzz_values<car::bfloat16>(bytes);
    case 2: return fuzz_values<car::float16>(bytes);
    default: return fuzz_values<float>(bytes);
    }
}
