// SPDX-License-Identifier: Apache-2.0
#include <car/corrected.hpp>
#include <car/eigen.hpp>
#include <car/softmax.hpp>

#include "support/row_cases.hpp"
#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using reference::wide;

namespace {

template <class Backend, class Logit>
struct run {
    using T = Logit;
    static constexpr Backend on{};
};
#define EVERY_RUN                                                                                                                          \
    run<car::scalar_backend, float>, run<car::scalar_backend, double>, run<car::eigen_backend, float>, run<car::eigen_backend, double>,    \
        run<car::simd_backend, float>, run<car::simd_backend, double>

template <class T>
constexpr double u = std::numeric_limits<T>::epsilon() / 2;

template <class T>
bool within(T got, wide want, wide scale, double roundings) {
    const wide allowed = static_cast<wide>(roundings * u<T>) * scale + 2 * static_cast<wide>(std::numeric_limits<T>::min());
    return reference::magnitude(static_cast<wide>(got) - want) <= allowed;
}

template <class T>
std::vector<wide> widen(const std::vector<T>& values, double scale = 1) {
    std::vector<wide> result;
    for (T v : values) result.push_back(static_cast<wide>(scale * static_cast<double>(v)));
    return result;
}

const cases::counterfactual counterfactuals[] = {cases::counterfactual::tiny, cases::counterfactual::normal, cases::counterfactual::huge,
                                                 cases::counterfactual::same, cases::counterfactual::offset};

template <class Run, class T>
void check(const cases::row<T>& row) {
    INFO(row.name);
    const std::size_t classes = row.p.size();
    const auto n = static_cast<std::ptrdiff_t>(classes);
    const car::matrix_view<const T> p(row.p.data(), 1, n), c(row.c.data(), 1, n);
    std::vector<T> y(classes, T(-7)), lse(1, T(-7));
    const car::matrix_view<T> Y(y.data(), 1, n);
    const std::vector<wide> logits = widen(row.p);
    const reference::log_sum factual(logits, logits), corrected(reference::difference(logits, widen(row.c)), logits);

    bool good = true;
    car::softmax(Run::on, p, Y);
    for (std::size_t k = 0; k != classes; ++k) good = good && within(y[k], factual.softmax[k], factual.softmax[k], 4);
    CHECK(good);
    car::log_softmax(Run::on, p, Y);
    for (std::size_t k = 0; k != classes; ++k) {
        if (reference::masked(logits[k])) {
            good = good && y[k] == -std::numeric_limits<T>::infinity();
            continue;
        }
        const wide value = -factual.cross_entropy(logits[k]);
        good = good && within(y[k], value, reference::magnitude(value), 4);
    }
    CHECK(good);
    car::log_sum_exp(Run::on, p, lse);
    const wide value = factual.value_of_log_sum();
    CHECK(within(lse[0], value, reference::magnitude(factual.max) + reference::magnitude(value), 4));
    car::corrected_softmax(Run::on, p, c, Y);
    for (std::size_t k = 0; k != classes; ++k) good = good && within(y[k], corrected.softmax[k], corrected.softmax[k], 4);
    CHECK(good);
}

} // namespace

TEST_CASE_TEMPLATE("softmax, log_softmax, log_sum_exp, corrected_softmax against 113-bit arithmetic", Run, EVERY_RUN) {
    cases::generator random(3);
    for (const std::size_t classes : {1u, 2u, 3u, 10u, 31u, 400u, 1024u, 1025u, 5000u})
        for (const auto f : cases::all_factual)
            for (const auto g : counterfactuals) check<Run>(cases::make<typename Run::T>(classes, f, g, random));
}

TEST_CASE_TEMPLATE("additions that all lose the same part of a last place", Run, EVERY_RUN) {
    cases::generator random(8);
    for (const std::size_t classes : {9u, 10u, 65u, 1025u})
        for (const double part : cases::lossy_parts)
            for (const double top : {0.0, -6.930, -20.794}) check<Run>(cases::make_lossy<typename Run::T>(classes, part, top, 0, random));
}

TEST_CASE_TEMPLATE("temperature and strength", Run, EVERY_RUN) {
    using T = typename Run::T;
    cases::generator random(4);
    const auto row = cases::make<T>(10, cases::factual::normal, cases::counterfactual::normal, random);
    std::vector<T> y(10);
    const car::matrix_view<T> Y(y.data(), 1, 10);
    const car::matrix_view<const T> p(row.p.data(), 1, 10), c(row.c.data(), 1, 10);
    const reference::row want(widen(row.p, 0.25), widen(row.c, 0.25 * -3), row.label); // powers of two scale without rounding
    car::softmax(Run::on, p, Y, {.temperature = 4});
    for (std::size_t k = 0; k != 10; ++k) CHECK(within(y[k], want.P[k], want.P[k], 4));
    car::log_softmax(Run::on, p, Y, {.temperature = 4});
    for (std::size_t k = 0; k != 10; ++k) CHECK(within(y[k], logq(want.P[k]), reference::magnitude(logq(want.P[k])), 4));
    car::corrected_softmax(Run::on, p, c, Y, {.strength = -3, .temperature = 4});
    for (std::size_t k = 0; k != 10; ++k) CHECK(within(y[k], want.Y[k], want.Y[k], 4));
}

TEST_CASE_TEMPLATE("special values", Run, EVERY_RUN) {
    using T = typename Run::T;
    constexpr T inf = std::numeric_limits<T>::infinity(), no_number = std::numeric_limits<T>::quiet_NaN();
    const std::vector<T> p{0, -inf, 1, no_number, 1, 2, inf, 1, 2, -inf, -inf, -inf, 3, 200, -3};
    const std::vector<T> c{0, no_number, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, inf, 0, 0};
    std::vector<T> y(15), lse(5);
    const car::matrix_view<const T> P(p.data(), 5, 3), C(c.data(), 5, 3);
    const car::matrix_view<T> Y(y.data(), 5, 3);
    for (const bool corrected : {false, true}) {
        corrected ? car::corrected_softmax(Run::on, P, C, Y) : car::softmax(Run::on, P, Y);
        CHECK(y[1] == 0);
        CHECK(std::abs(y[0] + y[2] - 1) <= 2 * std::numeric_limits<T>::epsilon());
        for (std::size_t k = 3; k != 12; ++k) CHECK(std::isnan(y[k]));
        CHECK(y[13] == 1);
    }
    CHECK(y[12] == 0); // p - inf
    car::log_sum_exp(Run::on, P, lse);
    CHECK(std::isfinite(lse[0]));
    CHECK(std::isnan(lse[1]));
    CHECK(lse[2] == inf);
    CHECK(lse[3] == -inf);
    CHECK(lse[4] == 200);
}

TEST_CASE_TEMPLATE("in place, strided, column-major: the same bits", Run, EVERY_RUN) {
    using T = typename Run::T;
    cases::generator random(8);
    const auto row = cases::make<T>(60, cases::factual::normal, cases::counterfactual::normal, random);
    std::vector<T> plain(60), p = row.p, c = row.c;
    const car::matrix_view<const T> P(row.p.data(), 6, 10), C(row.c.data(), 6, 10);
    car::corrected_softmax(Run::on, P, C, car::matrix_view<T>(plain.data(), 6, 10));
    car::corrected_softmax(Run::on, P, C, car::matrix_view<T>(p.data(), 6, 10));
    CHECK(p == plain);
    p = row.p;
    car::corrected_softmax(Run::on, car::matrix_view<T>(p.data(), 6, 10), C, car::matrix_view<T>(p.data(), 6, 10));
    CHECK(p == plain);
    car::corrected_softmax(Run::on, P, car::matrix_view<T>(c.data(), 6, 10), car::matrix_view<T>(c.data(), 6, 10));
    CHECK(c == plain);
    std::vector<T> transposed(60), out(60);
    for (std::size_t i = 0; i != 6; ++i)
        for (std::size_t k = 0; k != 10; ++k) transposed[k * 6 + i] = row.p[i * 10 + k];
    car::corrected_softmax(Run::on, car::matrix_view<T>(transposed.data(), 6, 10, 1, 6), C,
                           car::matrix_view<T>(out.data() + 50, 6, 10, -10));
    for (std::size_t i = 0; i != 6; ++i)
        for (std::size_t k = 0; k != 10; ++k) CHECK(out[(5 - i) * 10 + k] == plain[i * 10 + k]);
}

TEST_CASE_TEMPLATE("corrected_softmax_vjp in place of either input, strided, one gradient alone: the same bits", Run, EVERY_RUN) {
    using T = typename Run::T;
    cases::generator random(18);
    for (const std::ptrdiff_t classes : {3, 10, 33, 2100}) {
        constexpr std::ptrdiff_t rows = 3;
        const auto size = static_cast<std::size_t>(rows * classes);
        const auto row = cases::make<T>(size, cases::factual::normal, cases::counterfactual::normal, random);
        const auto& g = row.c;
        std::vector<T> y(size), grad_p(size), grad_c(size);
        const auto matrix = [&](auto& values) { return car::matrix_view(values.data(), rows, classes); };
        car::corrected_softmax(Run::on, matrix(row.p), matrix(row.p), matrix(y), {.strength = 0.5});
        const car::corrected_options how{.strength = 0.75, .temperature = 3};
        car::corrected_softmax_vjp(Run::on, matrix(y), matrix(g), {matrix(grad_p), matrix(grad_c)}, how);
        std::vector<T> over_y = y, over_g = g, alone(size);
        car::corrected_softmax_vjp(Run::on, matrix(over_y), matrix(g), {.grad_p = matrix(over_y), .grad_c = matrix(alone)}, how);
        CHECK(over_y == grad_p);
        CHECK(alone == grad_c);
        car::corrected_softmax_vjp(Run::on, matrix(y), matrix(over_g), {.grad_c = matrix(over_g)}, how);
        CHECK(over_g == grad_c);
        std::vector<T> y_columns(size), g_columns(size), p_columns(size), c_columns(size);
        const auto columns = [&](auto& values) { return car::matrix_view(values.data(), rows, classes, 1, rows); };
        for (std::ptrdiff_t i = 0; i != rows; ++i)
            for (std::ptrdiff_t k = 0; k != classes; ++k) {
                columns(y_columns)(i, k) = matrix(y)(i, k);
                columns(g_columns)(i, k) = matrix(g)(i, k);
            }
        car::corrected_softmax_vjp(Run::on, columns(y_columns), columns(g_columns), {columns(p_columns), columns(c_columns)}, how);
        bool same = true;
        for (std::ptrdiff_t i = 0; i != rows; ++i)
            for (std::ptrdiff_t k = 0; k != classes; ++k)
                same = same && columns(p_columns)(i, k) == matrix(grad_p)(i, k) && columns(c_columns)(i, k) == matrix(grad_c)(i, k);
        CHECK(same);
    }
}

TEST_CASE_TEMPLATE("corrected_softmax_vjp against 113-bit arithmetic; y of 0 stops an infinite upstream", Run, EVERY_RUN) {
    using T = typename Run::T;
    cases::generator random(9);
    for (const std::size_t classes : {1u, 2u, 10u, 400u, 1025u})
        for (const auto f : {cases::factual::normal, cases::factual::sharp, cases::factual::masked}) {
            const auto row = cases::make<T>(classes, f, cases::counterfactual::normal, random);
            const auto n = static_cast<std::ptrdiff_t>(classes);
            std::vector<T> y(classes), g(classes), grad_p(classes), grad_c(classes);
            car::corrected_softmax(Run::on, car::matrix_view<const T>(row.p.data(), 1, n), {row.c.data(), 1, n}, {y.data(), 1, n});
            for (std::size_t k = 0; k != classes; ++k)
                g[k] = y[k] == 0 ? std::numeric_limits<T>::infinity() : static_cast<T>(std::sin(static_cast<double>(k)) * 5);
            car::corrected_softmax_vjp(Run::on, car::matrix_view<const T>(y.data(), 1, n), {g.data(), 1, n},
                                       {.grad_p = {grad_p.data(), 1, n}, .grad_c = {grad_c.data(), 1, n}},
                                       {.strength = 2.5, .temperature = 4});
            wide mass = 0, mean = 0, size = 0;
            for (std::size_t k = 0; k != classes; ++k) {
                if (y[k] == 0) continue;
                mass += static_cast<wide>(y[k]);
                mean += static_cast<wide>(y[k]) * static_cast<wide>(g[k]);
                size += static_cast<wide>(y[k]) * reference::magnitude(static_cast<wide>(g[k]));
            }
            mean /= mass; // of the y that was given, which sums to 1 only to rounding
            for (std::size_t k = 0; k != classes; ++k) {
                if (y[k] == 0) {
                    CHECK(grad_p[k] == 0);
                    CHECK(grad_c[k] == 0);
                    continue;
                }
                const wide weight = static_cast<wide>(y[k]) / 4, want = weight * (static_cast<wide>(g[k]) - mean);
                const wide scale = weight * (reference::magnitude(static_cast<wide>(g[k])) + size);
                constexpr int bound = std::is_same_v<T, double> ? 9 : 4;
                CHECK(within(grad_p[k], want, scale, bound));
                CHECK(within(grad_c[k], static_cast<wide>(-2.5) * want, static_cast<wide>(2.5) * scale, bound));
            }
        }
}

TEST_CASE("errors") {
    std::vector<float> p(6, 1), y(6, 5);
    const car::matrix_view<const float> P(p.data(), 2, 3);
    const auto untouched = y;
    CHECK_THROWS_WITH(car::softmax(P, car::matrix_view<float>(y.data(), 3, 2)), "car::softmax: y has shape 3 x 2, expected 2 x 3");
    CHECK_THROWS_WITH(car::softmax(P, car::matrix_view<float>(y.data(), 2, 3), {.temperature = -1}),
                      "car::softmax: temperature is -1.000000, expected a positive number");
    CHECK_THROWS_WITH(car::log_softmax(car::matrix_view<float>(p.data(), 2, 2), car::matrix_view<float>(p.data() + 1, 2, 2)),
                      "car::log_softmax: y overlaps p");
    CHECK_THROWS_WITH(car::log_sum_exp(car::matrix_view<float>(p.data(), 6, 1), p), "car::log_sum_exp: y overlaps p");
    CHECK_THROWS_WITH(car::log_sum_exp(P, car::vector_view<float>(y.data(), 3)), "car::log_sum_exp: y has shape 3 x 1, expected 2 x 1");
    CHECK_THROWS_WITH(car::corrected_softmax(P, {p.data(), 1, 3}, car::matrix_view<float>(y.data(), 2, 3)),
                      "car::corrected_softmax: c has shape 1 x 3, expected 2 x 3");
    CHECK_THROWS_WITH(car::corrected_softmax_vjp(P, {p.data(), 2, 3}, {.grad_p = {y.data(), 1, 3}}),
                      "car::corrected_softmax_vjp: grad_p has shape 1 x 3, expected 2 x 3");
    CHECK(y == untouched);
}
