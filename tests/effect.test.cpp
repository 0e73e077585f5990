// SPDX-License-Identifier: Apache-2.0
#include <car/effect.hpp>

#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

using reference::wide;

namespace {

template <class T>
struct sample {
    std::ptrdiff_t rows, classes;
    std::vector<T> p, c;
    std::vector<int> labels;

    sample(std::ptrdiff_t n, std::ptrdiff_t k, unsigned seed) : rows(n), classes(k), p(static_cast<std::size_t>(n * k)), c(p) {
        std::mt19937_64 random(seed);
        std::normal_distribution<double> normal(0, 2);
        for (T& v : p) v = static_cast<T>(normal(random));
        for (T& v : c) v = static_cast<T>(normal(random));
        for (std::ptrdiff_t i = 0; i != n; ++i) labels.push_back(static_cast<int>(random() % static_cast<unsigned>(k)));
    }
    car::matrix_view<const T> view(const std::vector<T>& values, std::ptrdiff_t begin, std::ptrdiff_t end) const {
        return {values.data() + begin * classes, end - begin, classes};
    }
    wide effect(std::ptrdiff_t i) const {
        const auto row = [&](const std::vector<T>& values) {
            std::vector<wide> result;
            for (std::ptrdiff_t k = 0; k != classes; ++k)
                result.push_back(static_cast<wide>(values[static_cast<std::size_t>(i * classes + k)]));
            return result;
        };
        const auto y = static_cast<std::size_t>(labels[static_cast<std::size_t>(i)]);
        const auto a = row(p), b = row(c);
        return reference::log_sum(a, a).value(a[y]) - reference::log_sum(b, b).value(b[y]);
    }
};

struct moments {
    double mean, standard_error;
};
moments exact(const std::vector<wide>& effects) {
    wide mean = 0, square = 0;
    for (wide e : effects) mean += e / static_cast<wide>(effects.size());
    for (wide e : effects) square += (e - mean) * (e - mean);
    const double n = static_cast<double>(effects.size());
    return {static_cast<double>(mean), std::sqrt(static_cast<double>(square) / (n - 1) / n)};
}

/// P(|T| <= t) by Simpson's rule on the density, in long double: independent of the closed forms.
long double student_level(long double t, long double n) {
    const int steps = 20000;
    const long double angle = std::atan(t / std::sqrt(n)); // t = sqrt(n) tan(a) makes the density a power of a cosine
    const auto integral = [&](long double to) {
        long double sum = 0;
        for (int k = 0; k <= steps; ++k) sum += (k == 0 || k == steps ? 1 : k % 2 ? 4 : 2) * std::pow(std::cos(to * k / steps), n - 1);
        return sum * to / steps / 3;
    };
    return integral(angle) / integral(std::acos(-1.0L) / 2);
}

} // namespace

TEST_CASE_TEMPLATE("mean, standard error, each row, each class against 113-bit arithmetic", T, float, double) {
    const sample<T> data(57, 4, 1);
    std::vector<T> rows(57, T(-9));
    const auto got = car::effect(data.view(data.p, 0, 57), data.view(data.c, 0, 57), data.labels, {}, {.row_effect = rows});
    std::vector<wide> effects, of_two;
    for (std::ptrdiff_t i = 0; i != 57; ++i) {
        effects.push_back(data.effect(i));
        if (data.labels[static_cast<std::size_t>(i)] == 2) of_two.push_back(effects.back());
        const wide error = reference::magnitude(static_cast<wide>(rows[static_cast<std::size_t>(i)]) - effects.back());
        CHECK(static_cast<double>(error) <=
              8 * 0x1p-53 + static_cast<double>(std::numeric_limits<T>::epsilon() / 2) * std::abs(static_cast<double>(effects.back())));
    }
    const moments want = exact(effects), want_two = exact(of_two);
    CHECK(std::abs(got.mean - want.mean) <= 8 * 0x1p-53);
    CHECK(std::abs(got.standard_error - want.standard_error) <= 16 * 0x1p-53);
    CHECK(got.count == 57);
    const double width = 2.0032407188478727; // t(0.975, 56)
    CHECK(got.lower == doctest::Approx(want.mean - width * want.standard_error).epsilon(1e-13));
    CHECK(got.upper == doctest::Approx(want.mean + width * want.standard_error).epsilon(1e-13));

    car::effect_accumulator accumulator(4);
    accumulator.add(data.view(data.p, 0, 57), data.view(data.c, 0, 57), data.labels);
    CHECK(accumulator.result().mean == got.mean);
    CHECK(accumulator.of_class(2).count == static_cast<std::int64_t>(of_two.size()));
    CHECK(std::abs(accumulator.of_class(2).mean - want_two.mean) <= 8 * 0x1p-53);
    CHECK(std::abs(accumulator.of_class(2).standard_error - want_two.standard_error) <= 16 * 0x1p-53);
}

TEST_CASE("any split and order merges to within 4 units in the last place of max(|mean|, standard error)") {
    struct plan {
        std::ptrdiff_t rows, longest;
        int trials;
    };
    for (const plan plan : {plan{200, 30, 1000}, plan{30000, 2000, 10}}) { // many rows about a mean near 0: a plain sum drifts there
        const sample<double> data(plan.rows, 3, 2);
        car::effect_accumulator all(3);
        all.add(data.view(data.p, 0, plan.rows), data.view(data.c, 0, plan.rows), data.labels);
        std::mt19937_64 random(3);
        for (int trial = 0; trial != plan.trials; ++trial) {
            std::vector<car::effect_accumulator> parts;
            for (std::ptrdiff_t begin = 0; begin < plan.rows;) {
                const auto length = static_cast<std::ptrdiff_t>(random() % static_cast<std::uint64_t>(plan.longest));
                const std::ptrdiff_t end = std::min(plan.rows, begin + length);
                const std::vector<int> labels(data.labels.begin() + begin, data.labels.begin() + end);
                parts.emplace_back(3).add(data.view(data.p, begin, end), data.view(data.c, begin, end), labels);
                begin = end;
            }
            while (parts.size() > 1) {
                std::shuffle(parts.begin(), parts.end(), random);
                const auto last = parts.back();
                parts.pop_back();
                parts.back().merge(last);
            }
            const auto agree = [](const car::effect_result& got, const car::effect_result& want) {
                const double size = std::max(std::abs(want.mean), want.standard_error), ulp = std::nextafter(size, 2) - size;
                CHECK(got.count == want.count);
                CHECK(std::abs(got.mean - want.mean) <= 4 * ulp);
                CHECK(std::abs(got.standard_error - want.standard_error) <= 4 * ulp);
            };
            agree(parts[0].result(), all.result());
            for (std::ptrdiff_t k = 0; k != 3; ++k) agree(parts[0].of_class(k), all.of_class(k));
        }
    }
}

TEST_CASE("no answer is NaN, and a row without one is reported") {
    const double p[2][2] = {{1, 0}, {0, 2}}, c[2][2] = {{0, 0}, {0, 0}};
    const auto none = car::effect(p, c, std::vector{-100, -100});
    CHECK(std::isnan(none.mean));
    CHECK(none.count == 0);
    const auto one = car::effect(p, c, std::vector{0, -100});
    CHECK(one.mean == doctest::Approx(1 / (1 + std::exp(-1.0)) - 0.5).epsilon(1e-15));
    CHECK(std::isnan(one.standard_error));
    CHECK(std::isnan(one.lower));
    CHECK(one.count == 1);
    const double equal[2][2] = {{1, 0}, {0, 1}};
    const auto same = car::effect(equal, c, std::vector{0, 1});
    CHECK(same.standard_error <= 1e-16);
    const double broken[2][2] = {{1, 0}, {0, NAN}};
    const auto bad = car::effect(broken, c, std::vector{0, 1});
    CHECK(std::isnan(bad.mean));
    CHECK(std::isnan(bad.standard_error));
    CHECK(bad.status == car::row_status{car::fault::not_finite, 1, 1});
}

TEST_CASE("quantiles: closed forms, and the integral of the density") {
    for (const double level : {0.5, 0.9, 0.95, 0.99, 0.9999}) {
        CHECK(car::detail::student_t_quantile(level, 1) == doctest::Approx(std::tan(std::acos(-1.0) * level / 2)).epsilon(1e-11));
        CHECK(car::detail::student_t_quantile(level, 2) == doctest::Approx(level * std::sqrt(2 / (1 - level * level))).epsilon(1e-11));
        for (const std::int64_t n : {3, 4, 5, 10, 31, 100, 999, 1000, 5001}) {
            INFO(n << " degrees of freedom, level " << level);
            const double t = car::detail::student_t_quantile(level, n);
            CHECK(std::abs(static_cast<double>(student_level(t, static_cast<long double>(n))) - level) <= 1e-12);
        }
        CHECK(std::erf(car::detail::normal_quantile(level) / std::sqrt(2.0)) == doctest::Approx(level).epsilon(1e-15));
    }
}

TEST_CASE("the 95 % interval covers a known effect") {
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal;
    const int sets = 10000;
    for (const std::size_t n : {5u, 40u}) {
        int covered = 0;
        for (int set = 0; set != sets; ++set) {
            std::vector<double> effects(n);
            for (double& effect : effects) effect = 0.125 + normal(random);
            const auto interval = car::mean_effect(effects);
            covered += interval.lower <= 0.125 && 0.125 <= interval.upper;
        }
        MESSAGE(n << " samples: " << 100.0 * covered / sets << " % covered");
        CHECK(std::abs(covered / static_cast<double>(sets) - 0.95) <= 4 * std::sqrt(0.95 * 0.05 / sets)); // four standard errors
    }
}

TEST_CASE("errors") {
    const float p[2][3] = {}, c[1][3] = {}, q[2][3] = {};
    std::vector<float> rows{7, 7};
    CHECK_THROWS_WITH(car::effect(p, c, std::vector{0, 1}), "car::effect: c has shape 1 x 3, expected 2 x 3");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 3}, {}, {.row_effect = rows}),
                      "car::effect: label in row 1 is 3, expected 0 to 2 or ignore_index -100");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.level = 1}),
                      "car::effect: level is 1.000000, expected a number between 0 and 1");
    CHECK(rows == std::vector<float>{7, 7});
    CHECK_THROWS_WITH(car::mean_effect({nullptr, 3}), "car::mean_effect: effects is null or of negative size");
    car::effect_accumulator two(2), three(3);
    CHECK_THROWS_WITH(two.add(p, q, std::vector{0, 1}), "car::effect_accumulator::add: p has 3 columns, expected 2");
    CHECK_THROWS_WITH(two.merge(three), "car::effect_accumulator::merge: other has 3 classes, expected 2");
    CHECK_THROWS_WITH(two.of_class(2), "car::effect_accumulator::of_class: label is 2, expected 0 to 1");
    CHECK_THROWS_WITH(car::effect_accumulator(0), "car::effect_accumulator: classes is less than 1");
}
