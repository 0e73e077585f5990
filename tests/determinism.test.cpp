// SPDX-License-Identifier: Apache-2.0
// A row has the same bits in every run, whatever the batch it is in, its order, its split, its memory and its thread.
#include <car/corrected.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

namespace {

constexpr std::ptrdiff_t rows = 13, classes = 37; // no multiple of a lane or of a cache line

/// All that is computed of a batch, row after row.
template <class T>
struct results {
    std::vector<T> grad_p, grad_c, turn_p, turn_c, softmax, log_softmax, corrected;
    std::vector<car::term_of<T>> loss, cross_entropy, divergence, lse_p, lse_y, log_sum;
    std::vector<std::int64_t> predicted;

    results()
        : grad_p(rows * classes), grad_c(grad_p), turn_p(grad_p), turn_c(grad_p), softmax(grad_p), log_softmax(grad_p), corrected(grad_p),
          loss(rows), cross_entropy(loss), divergence(loss), lse_p(loss), lse_y(loss), log_sum(loss), predicted(rows) {}

    /// The row `to` of this batch and the row `from` of another have the same bits.
    bool row_is(std::ptrdiff_t to, const results& other, std::ptrdiff_t from) const {
        const auto same = [&](const auto& mine, const auto& its, std::ptrdiff_t width) {
            return std::memcmp(mine.data() + to * width, its.data() + from * width, sizeof(mine[0]) * static_cast<std::size_t>(width)) == 0;
        };
        return same(grad_p, other.grad_p, classes) && same(grad_c, other.grad_c, classes) && same(turn_p, other.turn_p, classes) &&
               same(turn_c, other.turn_c, classes) && same(softmax, other.softmax, classes) &&
               same(log_softmax, other.log_softmax, classes) && same(corrected, other.corrected, classes) && same(loss, other.loss, 1) &&
               same(cross_entropy, other.cross_entropy, 1) && same(divergence, other.divergence, 1) && same(lse_p, other.lse_p, 1) &&
               same(lse_y, other.lse_y, 1) && same(log_sum, other.log_sum, 1) && same(predicted, other.predicted, 1);
    }
    bool all_are(const results& other) const {
        for (std::ptrdiff_t i = 0; i != rows; ++i)
            if (!row_is(i, other, i)) return false;
        return true;
    }
};

template <class T>
struct inputs {
    car::matrix_view<const T> p, c;
    std::vector<int> labels;
};

template <class T>
car::matrix_view<T> block(std::vector<T>& all, std::ptrdiff_t first, std::ptrdiff_t count) {
    return {all.data() + first * classes, count, classes};
}
template <class T>
car::vector_view<T> part(std::vector<T>& all, std::ptrdiff_t first, std::ptrdiff_t count) {
    return {all.data() + first, count};
}
template <class T>
car::matrix_view<const T> block(const car::matrix_view<const T>& m, std::ptrdiff_t first, std::ptrdiff_t count) {
    return {m.data + first * m.row_stride, count, m.cols, m.row_stride, m.col_stride};
}

template <class T>
car::loss_result compute(const inputs<T>& in, car::precision precision, results<T>& out, std::ptrdiff_t first = 0,
                         std::ptrdiff_t count = rows) {
    const auto p = block(in.p, first, count), c = block(in.c, first, count);
    const car::vector_view<const int> labels(in.labels.data() + first, count);
    const car::loss_options options{.strength = 0.5, .reduction = car::reduction::sum, .precision = precision};
    car::softmax(p, block(out.softmax, first, count));
    car::log_softmax(p, block(out.log_softmax, first, count));
    car::log_sum_exp(p, part(out.log_sum, first, count));
    car::corrected_softmax(p, c, block(out.corrected, first, count));
    car::loss_hvp(p, c, labels, {.p = c, .c = p}, options,
                  {.grad_p = block(out.turn_p, first, count), .grad_c = block(out.turn_c, first, count)});
    return car::loss(p, c, labels, options,
                     {.grad_p = block(out.grad_p, first, count),
                      .grad_c = block(out.grad_c, first, count),
                      .row_loss = part(out.loss, first, count),
                      .row_cross_entropy = part(out.cross_entropy, first, count),
                      .row_divergence = part(out.divergence, first, count),
                      .lse_p = part(out.lse_p, first, count),
                      .lse_y = part(out.lse_y, first, count),
                      .predicted = part(out.predicted, first, count)});
}

} // namespace

TEST_CASE_TEMPLATE("the same bits in any batch, order, split, memory and thread", T, float, double, car::bfloat16, car::float16) {
    cases::generator random(61);
    std::vector<T> p(rows * classes), c(p.size());
    for (auto* values : {&p, &c})
        for (T& v : *values) v = static_cast<T>(3 * random.normal());
    inputs<T> in{{p.data(), rows, classes}, {c.data(), rows, classes}, {}};
    for (std::ptrdiff_t i = 0; i != rows; ++i) in.labels.push_back(static_cast<int>(random.below(classes)));

    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
        results<T> plain;
        const auto total = compute(in, precision, plain);

        results<T> again;
        const auto repeated = compute(in, precision, again);
        CHECK(again.all_are(plain));
        CHECK(repeated.value == total.value);

        for (const std::ptrdiff_t cut : {1, 4, 12}) {
            results<T> split;
            compute(in, precision, split, cut, rows - cut);
            compute(in, precision, split, 0, cut);
            CHECK(split.all_are(plain));
        }

        std::vector<std::ptrdiff_t> order(rows);
        std::iota(order.begin(), order.end(), 0);
        for (std::size_t i = rows - 1; i != 0; --i) std::swap(order[i], order[random.below(i + 1)]);
        std::vector<T> shuffled_p, shuffled_c;
        inputs<T> shuffled;
        for (const std::ptrdiff_t from : order) {
            shuffled_p.insert(shuffled_p.end(), p.begin() + from * classes, p.begin() + (from + 1) * classes);
            shuffled_c.insert(shuffled_c.end(), c.begin() + from * classes, c.begin() + (from + 1) * classes);
            shuffled.labels.push_back(in.labels[static_cast<std::size_t>(from)]);
        }
        shuffled.p = {shuffled_p.data(), rows, classes};
        shuffled.c = {shuffled_c.data(), rows, classes};
        results<T> other;
        compute(shuffled, precision, other);
        bool same = true;
        for (std::ptrdiff_t i = 0; i != rows; ++i) same = same && other.row_is(i, plain, order[static_cast<std::size_t>(i)]);
        CHECK(same);

        // Every alignment of a float, rows apart and side by side, columns apart, first to last and last to first.
        for (const auto& [offset, row, column] : {std::array<std::ptrdiff_t, 3>{1, classes, 1},
                                                  {3, classes + 2, 1},
                                                  {0, 1, rows},
                                                  {5, 2, 2 * rows + 1},
                                                  {2 * rows * classes, -2 * classes, 2},
                                                  {classes - 1, classes, -1}}) {
            std::vector<T> far_p(3 * p.size()), far_c(3 * p.size());
            car::matrix_view<T> P(far_p.data() + offset, rows, classes, row, column), C(far_c.data() + offset, rows, classes, row, column);
            for (std::ptrdiff_t i = 0; i != rows; ++i)
                for (std::ptrdiff_t k = 0; k != classes; ++k) {
                    P(i, k) = in.p(i, k);
                    C(i, k) = in.c(i, k);
                }
            results<T> strided;
            const auto value = compute(inputs<T>{P, C, in.labels}, precision, strided);
            CHECK(strided.all_are(plain));
            CHECK(value.value == total.value);
        }

        for (const std::ptrdiff_t count : {2, 3, 13}) {
            results<T> threaded;
            std::vector<std::thread> threads;
            for (std::ptrdiff_t t = 0; t != count; ++t) {
                const std::ptrdiff_t first = rows * t / count, last = rows * (t + 1) / count;
                threads.emplace_back([&, first, last] { compute(in, precision, threaded, first, last - first); });
            }
            for (std::thread& thread : threads) thread.join();
            CHECK(threaded.all_are(plain));
        }
    }
}

TEST_CASE_TEMPLATE("the same bits where matrices lie column after column, and nothing beside them is written", T, float, double,
                   car::bfloat16) {
    constexpr std::ptrdiff_t beside = 3; // elements below each column, which are nobody's
    const T nobody(-77);
    for (const std::ptrdiff_t width : {24, 25, 40, 1000, 1025, 2040, 5000})
        for (const std::ptrdiff_t height : {1, 2, 5, 16, 39}) {
            cases::generator random(static_cast<unsigned>(width + height));
            const std::ptrdiff_t step = height + beside;
            const auto numbers = [](std::ptrdiff_t of) { return static_cast<std::size_t>(of); };
            std::vector<T> p(numbers(height * width)), c(p), grad_p(p), grad_c(p);
            std::vector<T> p_columns(numbers(step * width), nobody), c_columns(p_columns);
            const car::matrix_view<T> p_rows(p.data(), height, width), c_rows(c.data(), height, width);
            const car::matrix_view<T> tall_p(p_columns.data(), height, width, 1, step), tall_c(c_columns.data(), height, width, 1, step);
            std::vector<int> labels;
            for (std::ptrdiff_t i = 0; i != height; ++i) {
                labels.push_back(i % 7 == 3 ? -100 : static_cast<int>(random.below(numbers(width))));
                for (std::ptrdiff_t k = 0; k != width; ++k) {
                    p_rows(i, k) = T(3 * random.normal());
                    c_rows(i, k) = T(random.normal() * (i % 5 == 4 ? 200 : 1)); // some are left to double, or to the scalar backend
                }
                if (i % 11 == 10) p_rows(i, width / 2) = T(NAN);
                for (std::ptrdiff_t k = 0; k != width; ++k) {
                    tall_p(i, k) = p_rows(i, k);
                    tall_c(i, k) = c_rows(i, k);
                }
            }
            for (const car::gradients how : {car::gradients::overwrite, car::gradients::accumulate})
                for (const bool in_place : {false, true})
                    for (const int wanted : {0, 1, 2, 3}) {
                        if (in_place && how == car::gradients::accumulate) continue;
                        CAPTURE(width);
                        CAPTURE(height);
                        CAPTURE(in_place);
                        CAPTURE(wanted);
                        std::fill(grad_p.begin(), grad_p.end(), T(0.5));
                        std::fill(grad_c.begin(), grad_c.end(), T(0.25));
                        std::vector<T> tall_grad_p(in_place ? p_columns : std::vector<T>(p_columns.size(), nobody)),
                            tall_grad_c(in_place ? c_columns : tall_grad_p);
                        const car::matrix_view<T> want_p(grad_p.data(), height, width), want_c(grad_c.data(), height, width),
                            got_p(tall_grad_p.data(), height, width, 1, step), got_c(tall_grad_c.data(), height, width, 1, step);
                        if (!in_place)
                            for (std::ptrdiff_t i = 0; i != height; ++i)
                                for (std::ptrdiff_t k = 0; k != width; ++k) {
                                    got_p(i, k) = T(0.5);
                                    got_c(i, k) = T(0.25);
                                }
                        const auto given = [&](const car::matrix_view<T>& to_p, const car::matrix_view<T>& to_c) {
                            car::loss_arrays<T> arrays;
                            if (wanted & 1) arrays.grad_p = to_p;
                            if (wanted & 2) arrays.grad_c = to_c;
                            return arrays;
                        };
                        const auto want = car::loss(p_rows, c_rows, labels, {.alpha = 0.7, .gradients = how}, given(want_p, want_c));
                        const auto got = car::loss(in_place && wanted & 1 ? got_p : tall_p, in_place && wanted & 2 ? got_c : tall_c, labels,
                                                   {.alpha = 0.7, .gradients = how}, given(got_p, got_c));
                        CHECK(std::memcmp(&got.value, &want.value, sizeof got.value) == 0);
                        CHECK(got.status == want.status);
                        std::ptrdiff_t other = 0, touched = 0;
                        for (std::ptrdiff_t k = 0; k != width; ++k) {
                            for (std::ptrdiff_t i = 0; i != height; ++i) {
                                const T is_p = got_p(i, k), is_c = got_c(i, k);
                                if (wanted & 1) other += std::memcmp(&is_p, &want_p(i, k), sizeof(T)) != 0;
                                if (wanted & 2) other += std::memcmp(&is_c, &want_c(i, k), sizeof(T)) != 0;
                            }
                            for (std::ptrdiff_t i = height; i != step; ++i)
                                touched += !(got_p.data[k * step + i] == nobody) + !(got_c.data[k * step + i] == nobody);
                        }
                        CHECK(other == 0);
                        CHECK(touched == 0);
                    }
        }
}
