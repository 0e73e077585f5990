// SPDX-License-Identifier: Apache-2.0
// P_effect on a device against its formula in long double.
#include <car/cuda.hpp>

#include "support/device_memory.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

using number = long double;

template <class T>
struct sample {
    std::size_t rows, cols, draws;
    std::vector<T> p, c;
    std::vector<std::int32_t> labels;
    std::vector<car::term_of<T>> effects;
    car::device_effect result;

    sample(std::size_t count, std::size_t columns, std::size_t m)
        : rows(count), cols(columns), draws(m), p(count * columns), c(m * count * columns), effects(count) {
        cases::generator random(count + columns);
        for (T& v : p) v = static_cast<T>(2 * random.normal());
        for (T& v : c) v = static_cast<T>(2 * random.normal());
        for (std::size_t i = 0; i != count; ++i) labels.push_back(static_cast<std::int32_t>(random.below(columns)));
    }
    void run() {
        const device_memory::stream stream;
        const device_memory::array<T> from_p(p, stream), from_c(c, stream);
        const device_memory::array<std::int32_t> from_labels(labels, stream);
        const device_memory::array<car::term_of<T>> to(rows, stream);
        const device_memory::array<car::device_effect> to_result(1, stream);
        const auto m = static_cast<std::int64_t>(draws);
        const auto bytes = car::effect_workspace(static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(m));
        const device_memory::array<std::byte> workspace(static_cast<std::size_t>(bytes), stream);
        car::device_effect_arrays<T> arrays;
        arrays.row_effect = to.view();
        arrays.result = to_result.view();
        CHECK(car::effect(car::cuda.on(stream), from_p.view(rows, cols, cols), from_c.view(draws * rows, cols, cols), from_labels.view(),
                          {-100, m}, arrays)
                  .launch == car::launch::no_workspace);
        arrays.workspace = workspace.view();
        CHECK(car::effect(car::cuda.on(stream), from_p.view(rows, cols, cols), from_c.view(draws * rows, cols, cols), from_labels.view(),
                          {-100, m}, arrays)
                  .ok());
        stream.wait();
        effects = to.values();
        result = to_result.values()[0];
    }
    number probability(const std::vector<T>& m, std::size_t row, std::size_t label) const {
        number sum = 0;
        for (std::size_t k = 0; k != cols; ++k)
            sum += expl(static_cast<number>(static_cast<double>(m[row * cols + k])) - static_cast<double>(m[row * cols + label]));
        return 1 / sum;
    }
};

} // namespace

TEST_CASE_TEMPLATE("effects of rows, their mean and its standard error", T, float, double, car::bfloat16, car::float16) {
    for (const std::size_t cols : {3u, 50u, 1100u}) {
        sample<T> all(cols == 3 ? 5000 : 23, cols, 3);
        all.labels[7] = -100;
        all.run();
        const number u = types::u<car::term_of<T>>;
        number sum = 0, square = 0, n = 0;
        std::vector<number> wanted;
        for (std::size_t i = 0; i != all.rows; ++i) {
            if (i == 7) {
                CHECK(all.effects[i] == 0);
                continue;
            }
            const auto label = static_cast<std::size_t>(all.labels[i]);
            number drawn = 0;
            for (std::size_t m = 0; m != 3; ++m) drawn += all.probability(all.c, m * all.rows + i, label) / 3;
            const number e = all.probability(all.p, i, label) - drawn;
            CHECK(std::abs(all.effects[i] - e) <= 8 * u);
            wanted.push_back(e);
            sum += e, n += 1;
        }
        for (const number e : wanted) square += (e - sum / n) * (e - sum / n);
        CHECK(all.result.count == static_cast<std::int64_t>(n));
        CHECK(std::abs(all.result.mean - sum / n) <= 8 * u);
        CHECK(std::abs(all.result.standard_error - sqrtl(square / (n * (n - 1)))) <= 16 * u);
        CHECK(all.result.status.ok());
    }
}

TEST_CASE("a spread far below the mean keeps its digits") {
    sample<double> all(4097, 2, 1);
    for (std::size_t i = 0; i != all.rows; ++i) {
        all.labels[i] = 0;
        all.p[2 * i] = 20 + (i % 2 == 0 ? 1e-3 : 0), all.p[2 * i + 1] = 0;
        all.c[2 * i] = 0, all.c[2 * i + 1] = 0;
    }
    all.run();
    const number one = 1 / (1 + expl(-static_cast<number>(20 + 1e-3))), other = 1 / (1 + expl(-20.0L)), n = 4097, odd = 2048, even = 2049;
    const number mean = (even * one + odd * other) / n;
    const number square = even * (one - mean) * (one - mean) + odd * (other - mean) * (other - mean);
    CHECK(std::abs(all.result.standard_error - sqrtl(square / (n * (n - 1)))) <= 1e-3L * sqrtl(square / (n * (n - 1))));
}

TEST_CASE("rows without an effect are reported") {
    sample<float> all(9, 4, 1);
    all.p[3 * 4] = NAN;
    all.labels[5] = 4;
    all.run();
    CHECK(std::isnan(all.effects[3]));
    CHECK(std::isnan(all.effects[5]));
    CHECK(std::isnan(all.result.mean));
    CHECK(all.result.status == car::row_status{car::fault::not_finite, 3, 2});
}
