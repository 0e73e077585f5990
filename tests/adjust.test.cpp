// SPDX-License-Identifier: Apache-2.0
#include <car/adjust.hpp>

#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using reference::wide;

namespace {

struct row_answer {
    std::vector<wide> probability;
    std::vector<std::vector<wide>> gradient; // [stratum][class]
    wide loss = 0;
};

/// P_j - [j = y]; where it is the label's, the sum of the others: 113 bits do not hold 1 - 1e-60.
wide without_label(const reference::log_sum& all, const std::vector<wide>& row, std::size_t j, std::size_t y) {
    if (j != y) return all.value(row[j]);
    wide others = 0;
    for (std::size_t k = 0; k != row.size(); ++k)
        if (k != y) others += all.value(row[k]);
    return -others;
}

/// The printed formulas of one row.
row_answer printed(const std::vector<std::vector<wide>>& g, const std::vector<wide>& w, std::size_t y, car::adjustment how) {
    const std::size_t strata = g.size(), classes = g[0].size();
    row_answer result{std::vector<wide>(classes, 0), {strata, std::vector<wide>(classes, 0)}, 0};
    if (how == car::adjustment::geometric) {
        std::vector<wide> mean(classes, 0);
        for (std::size_t k = 0; k != strata; ++k)
            for (std::size_t j = 0; j != classes; ++j) mean[j] += w[k] * g[k][j];
        const reference::log_sum all(mean, mean);
        for (std::size_t j = 0; j != classes; ++j) {
            result.probability[j] = all.value(mean[j]);
            for (std::size_t k = 0; k != strata; ++k) result.gradient[k][j] = w[k] * without_label(all, mean, j, y);
        }
        result.loss = all.cross_entropy(mean[y]);
        return result;
    }
    for (std::size_t k = 0; k != strata; ++k) {
        const reference::log_sum all(g[k], g[k]);
        for (std::size_t j = 0; j != classes; ++j) result.probability[j] += w[k] * all.value(g[k][j]);
    }
    for (std::size_t k = 0; k != strata; ++k) {
        const reference::log_sum all(g[k], g[k]);
        const wide share = w[k] * all.value(g[k][y]) / result.probability[y];
        for (std::size_t j = 0; j != classes; ++j) result.gradient[k][j] = share * without_label(all, g[k], j, y);
    }
    result.loss = -logq(result.probability[y]);
    return result;
}

} // namespace

TEST_CASE_TEMPLATE("exact and geometric against 113-bit arithmetic", T, float, double) {
    std::mt19937_64 random(3);
    const double u = 0x1p-53, rounding = static_cast<double>(std::numeric_limits<T>::epsilon() / 2);
    double worst = 0;
    for (const double size : {0.1, 1.0, 10.0, 300.0}) {
        for (const car::adjustment how : {car::adjustment::exact, car::adjustment::geometric}) {
            constexpr std::size_t rows = 7, strata = 3, classes = 5;
            std::normal_distribution<double> normal(0, size);
            std::vector<T> g(strata * rows * classes), probability(rows * classes), gradient(g.size()), loss(rows);
            for (T& v : g) v = static_cast<T>(normal(random));
            const std::vector<T> prior{T(0.25), T(0.125), T(0.625)};
            std::vector<int> labels;
            for (std::size_t i = 0; i != rows; ++i) labels.push_back(static_cast<int>(random() % classes));
            const auto got = car::adjust(car::matrix_view<const T>{g.data(), strata * rows, classes}, prior, labels, {.adjustment = how},
                                         {.probability = car::matrix_view<T>{probability.data(), rows, classes},
                                          .grad = car::matrix_view<T>{gradient.data(), strata * rows, classes},
                                          .row_loss = loss});
            double largest = 0;
            for (const T v : g) largest = std::max(largest, std::abs(static_cast<double>(v)));
            const double allowed = (16 + (how == car::adjustment::geometric ? 4 * largest : 0)) * u + rounding;
            wide total = 0;
            for (std::size_t i = 0; i != rows; ++i) {
                std::vector<std::vector<wide>> at(strata);
                for (std::size_t k = 0; k != strata; ++k)
                    for (std::size_t j = 0; j != classes; ++j) at[k].push_back(g[(k * rows + i) * classes + j]);
                const row_answer want = printed(at, {0.25, 0.125, 0.625}, static_cast<std::size_t>(labels[i]), how);
                const auto close = [&](T value, wide right) {
                    const double smallest = 2 * static_cast<double>(std::numeric_limits<T>::min());
                    const double error = std::abs(static_cast<double>(static_cast<wide>(value) - right)),
                                 scale = std::abs(static_cast<double>(right));
                    CHECK(error <= allowed * scale + smallest);
                    if (scale > smallest) worst = std::max(worst, error / allowed / scale);
                };
                for (std::size_t j = 0; j != classes; ++j) close(probability[i * classes + j], want.probability[j]);
                for (std::size_t k = 0; k != strata; ++k)
                    for (std::size_t j = 0; j != classes; ++j)
                        close(gradient[(k * rows + i) * classes + j], want.gradient[k][j] / static_cast<wide>(rows));
                CHECK(std::abs(static_cast<double>(static_cast<wide>(loss[i]) - want.loss)) <=
                      allowed * (1 + static_cast<double>(want.loss)));
                total += want.loss / static_cast<wide>(rows);
            }
            CHECK(std::abs(got.value - static_cast<double>(total)) <= allowed * (1 + static_cast<double>(total)));
            CHECK(got.count == rows);
        }
    }
    MESSAGE("worst error over the bound: " << worst);
}

TEST_CASE("the gradient is that of the loss, by complex-free central differences in 113 bits") {
    std::mt19937_64 random(8);
    std::normal_distribution<double> normal(0, 2);
    for (const car::adjustment how : {car::adjustment::exact, car::adjustment::geometric}) {
        std::vector<std::vector<wide>> g(2, std::vector<wide>(3));
        std::vector<double> flat, gradient(6);
        for (auto& stratum : g)
            for (wide& v : stratum) flat.push_back(normal(random)), v = flat.back();
        car::adjust(car::matrix_view<const double>{flat.data(), 2, 3}, std::vector{0.5, 0.5}, std::vector{1}, {.adjustment = how},
                    {.grad = car::matrix_view<double>{gradient.data(), 2, 3}});
        for (std::size_t k = 0; k != 2; ++k)
            for (std::size_t j = 0; j != 3; ++j) {
                const wide step = 1e-10L;
                auto up = g, down = g;
                up[k][j] += step, down[k][j] -= step;
                const wide slope = (printed(up, {0.5, 0.5}, 1, how).loss - printed(down, {0.5, 0.5}, 1, how).loss) / (2 * step);
                CHECK(gradient[3 * k + j] == doctest::Approx(static_cast<double>(slope)).epsilon(1e-14));
            }
    }
}

TEST_CASE("one stratum, an improbable stratum, ignored rows, reductions, values") {
    const double g[4][3] = {{1, 2, 3}, {0, 1, 0}, {NAN, 5, 2}, {1, 1, 1}};
    double probability[2][3], gradient[4][3];
    const auto both = [&](car::adjustment how) {
        const auto all = car::adjust(g, std::vector{1.0, 0.0}, std::vector{2, -100}, {.adjustment = how, .reduction = car::reduction::sum},
                                     {.probability = car::view(probability), .grad = car::view(gradient)});
        CHECK(all.count == 1);
        CHECK(all.value == doctest::Approx(std::log(1 + std::exp(-1.0) + std::exp(-2.0))).epsilon(1e-15));
        CHECK(all.status.ok());
        CHECK(gradient[0][0] == doctest::Approx(probability[0][0]).epsilon(1e-15));
        for (int j = 0; j != 3; ++j) {
            CHECK(gradient[1][j] == 0); // ignored
            CHECK(gradient[2][j] == 0); // improbable, and NaN
            CHECK(std::isfinite(probability[1][j]));
        }
    };
    both(car::adjustment::exact);
    both(car::adjustment::geometric);

    std::vector<double> rows(2);
    const auto bad = car::adjust(g, std::vector{0.5, 0.5}, std::vector{2, 1}, {.reduction = car::reduction::none}, {.row_loss = rows});
    CHECK(std::isnan(rows[0]));
    CHECK(std::isfinite(rows[1]));
    CHECK(std::isnan(bad.value));
    CHECK(bad.status == car::row_status{car::fault::not_finite, 0, 1});
    const double masked[2][2] = {{0, -INFINITY}, {1, -INFINITY}};
    CHECK(car::adjust(masked, std::vector{0.5, 0.5}, std::vector{1}).value == INFINITY);
    CHECK(car::adjust(masked, std::vector{0.5, 0.5}, std::vector{0}).value == 0);
    CHECK(car::adjust(g, std::vector{0.5, 0.5}, std::vector{-100, -100}).value == 0);
}

TEST_CASE("errors") {
    const float g[4][3] = {};
    const std::vector<int> labels{0, 1};
    CHECK_THROWS_WITH(car::adjust(g, std::vector<float>{}, labels), "car::adjust: prior has size 0, expected at least 1");
    CHECK_THROWS_WITH(car::adjust(g, std::vector{1.0f}, labels), "car::adjust: g has shape 4 x 3, expected 2 x 3");
    CHECK_THROWS_WITH(car::adjust(g, std::vector{0.5f, 0.4f}, labels), "car::adjust: prior has sum 0.900000, expected 1");
    CHECK_THROWS_WITH(car::adjust(g, std::vector{1.5f, -0.5f}, labels),
                      "car::adjust: prior of stratum 1 is -0.500000, expected at least 0");
    CHECK_THROWS_WITH(car::adjust(g, std::vector{0.5f, 0.5f}, std::vector{0, 3}),
                      "car::adjust: label in row 1 is 3, expected 0 to 2 or ignore_index -100");
    CHECK_THROWS_WITH(car::adjust(g, std::vector{0.5f, 0.5f}, labels, {.reduction = car::reduction::none}),
                      "car::adjust: row_loss is not given, expected it for reduction::none");
    float same[4][3] = {};
    CHECK_THROWS_WITH(car::adjust(same, std::vector{0.5f, 0.5f}, labels, {}, {.grad = car::view(same)}), "car::adjust: grad overlaps g");
}
