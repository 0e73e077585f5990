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
