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

namespace {

/// One effect as its scale defines it, in 113-bit arithmetic.
wide score(car::scale scale, const std::vector<wide>& row, std::size_t y) {
    const reference::log_sum all(row, row);
    if (scale == car::scale::probability) return all.value(row[y]);
    if (scale == car::scale::logit) return row[y];
    wide others = 0;
    for (std::size_t k = 0; k != row.size(); ++k)
        if (k != y) others += expq(row[k] - all.max);
    return row[y] - all.max - logq(others);
}
wide divergence(const std::vector<wide>& p, const std::vector<wide>& c) {
    const auto d = reference::difference(p, c);
    const reference::log_sum factual(p, p), corrected(d, p);
    wide sum = 0;
    for (std::size_t k = 0; k != p.size(); ++k) sum += factual.value(p[k]) * (corrected.cross_entropy(d[k]) - factual.cross_entropy(p[k]));
    return sum;
}

} // namespace

TEST_CASE_TEMPLATE("scales and draws: each row, its Monte-Carlo error, each class, the mean", T, float, double) {
    constexpr std::ptrdiff_t rows = 31, classes = 5, draws = 3;
    const sample<T> data(rows, classes, 11), counter(draws * rows, classes, 12);
    const auto row = [&](const sample<T>& from, std::ptrdiff_t i) {
        const auto begin = from.p.begin() + i * classes;
        return std::vector<wide>(begin, begin + classes);
    };
    const double unit = 0x1p-53, rounding = static_cast<double>(std::numeric_limits<T>::epsilon() / 2);
    for (const car::scale scale : {car::scale::probability, car::scale::log_odds, car::scale::logit, car::scale::divergence}) {
        std::vector<T> each(rows), error(rows), vector(rows * classes);
        car::effect_arrays<T> arrays{.row_effect = each, .row_draw_error = error};
        const bool by_class = scale != car::scale::divergence;
        if (by_class) arrays.class_effect = car::matrix_view<T>{vector.data(), rows, classes};
        const auto got = car::effect(data.view(data.p, 0, rows), counter.view(counter.p, 0, draws * rows), data.labels,
                                     {.scale = scale, .draws = draws}, arrays);
        std::vector<wide> effects;
        for (std::ptrdiff_t i = 0; i != rows; ++i) {
            const auto at = static_cast<std::size_t>(i);
            wide total = 0;
            for (std::size_t k = 0; k != classes; ++k) {
                if (!by_class && k != 0) break;
                const std::size_t y = by_class ? k : 0;
                std::vector<wide> drawn;
                wide mean = 0, square = 0;
                for (std::ptrdiff_t m = 0; m != draws; ++m) {
                    const auto c = row(counter, m * rows + i);
                    drawn.push_back(by_class ? score(scale, row(data, i), y) - score(scale, c, y) : divergence(row(data, i), c));
                    mean += drawn.back() / draws;
                }
                for (const wide d : drawn) square += (d - mean) * (d - mean);
                total += mean;
                // Logits are below 10 here. A float divergence is rounded in each draw; the classes' effects are added up as T.
                const double bound = 8 * unit * 20 + 4 * rounding * (std::abs(static_cast<double>(mean)) + (by_class ? 0 : 20));
                if (by_class)
                    CHECK(std::abs(static_cast<double>(mean - static_cast<wide>(vector[at * classes + k]))) <= bound + 8 * rounding * 20);
                if (by_class && static_cast<int>(k) != data.labels[at]) continue;
                CHECK(std::abs(static_cast<double>(mean - static_cast<wide>(each[at]))) <= bound);
                const double spread = std::sqrt(static_cast<double>(square) / (draws - 1) / draws);
                CHECK(std::abs(spread - static_cast<double>(error[at])) <= 4 * bound + 2 * rounding * spread);
                effects.push_back(mean);
            }
            if (scale == car::scale::probability) CHECK(std::abs(static_cast<double>(total)) <= 1e-15);
        }
        const moments want = exact(effects);
        const double bound = 8 * unit * 20 + (by_class ? 0 : 20 * rounding);
        CHECK(std::abs(got.mean - want.mean) <= bound);
        CHECK(std::abs(got.standard_error - want.standard_error) <= 2 * bound); // draws averaged first: the sample is the unit
        CHECK(got.units == rows);
        double positive = 0;
        for (const wide e : effects) positive += e > 0;
        CHECK(got.positive == doctest::Approx(positive / static_cast<double>(rows)).epsilon(1e-15));
    }
    std::vector<T> error(rows);
    car::effect(data.view(data.p, 0, rows), data.view(data.c, 0, rows), data.labels, {}, {.row_draw_error = error});
    for (const T e : error) CHECK(std::isnan(e)); // of one draw: NaN, not 0
}

/// Rows of every width by each backend: e within 8u of 1, or of |s(p)| + |s(c)| + 1, and a rounding to the type.
template <class T, class Backend>
void check_widths(const Backend& on, double size) {
    for (const std::ptrdiff_t classes : {1, 2, 3, 7, 8, 9, 33, 400, 1000, 1025, 5000}) {
        constexpr std::ptrdiff_t rows = 6;
        sample<T> data(rows, classes, static_cast<unsigned>(classes) + 40);
        for (auto* values : {&data.p, &data.c})
            for (T& v : *values) v = static_cast<T>(size * static_cast<double>(v));
        for (std::size_t i = 0; i != rows; ++i) // in each half of the rows the label is the most likely class
            if (i % 2 == 0) data.p[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(data.labels[i])] += T(20 * size);
        if (classes > 2) data.p[static_cast<std::size_t>(classes) + (data.labels[1] == 0)] = -std::numeric_limits<T>::infinity(); // masked
        const car::matrix_view<const T> p = data.view(data.p, 0, rows), c = data.view(data.c, 0, rows);
        for (const car::scale scale : {car::scale::probability, car::scale::log_odds}) {
            if (classes == 1 && scale == car::scale::log_odds) continue; // infinite
            std::vector<car::term_of<T>> effects(rows);
            CHECK(car::effect(on, p, c, data.labels, {.scale = scale}, {.row_effect = effects}).status.ok());
            for (std::size_t i = 0; i != rows; ++i) {
                const auto row = [&](const std::vector<T>& from) {
                    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(i) * classes;
                    return std::vector<wide>(begin, begin + classes);
                };
                const auto y = static_cast<std::size_t>(data.labels[i]);
                const wide a = score(scale, row(data.p), y), b = score(scale, row(data.c), y);
                const wide room = scale == car::scale::probability ? 1 : reference::magnitude(a) + reference::magnitude(b) + 1;
                const wide off = reference::magnitude(static_cast<wide>(effects[i]) - (a - b));
                INFO("C = " << classes << ", row " << i << ", size " << size << ", scale " << static_cast<int>(scale));
                CHECK(static_cast<double>(off / (8 * static_cast<wide>(0x1p-53) * room +
                                                 static_cast<wide>(std::numeric_limits<T>::epsilon() / 2) * reference::magnitude(a - b))) <=
                      1);
            }
        }
    }
}

TEST_CASE_TEMPLATE("rows of every width, on each backend", T, float, double) {
    for (const double size : {0.01, 1.0, 15.0}) {
        check_widths<T>(car::scalar, size);
        check_widths<T>(car::simd, size);
    }
}

TEST_CASE_TEMPLATE("a row that one class has almost to itself, and rows without an answer, are the scalar backend's", T, float, double) {
    constexpr T inf = std::numeric_limits<T>::infinity(), no_number = std::numeric_limits<T>::quiet_NaN();
    constexpr T far = 742; // exp(-far) is less than any normal double
    const T p[7][4] = {{far, 0, 0, 0},           {5, -inf, -inf, -inf},    {0, no_number, 0, 0}, {0, inf, 0, 0},
                       {-inf, -inf, -inf, -inf}, {T(1e30), T(1e30), 0, 0}, {0, far, 0, -inf}};
    const T c[7][4] = {};
    const std::vector labels{0, 0, 0, 0, 0, 0, 0};
    for (const car::scale scale : {car::scale::probability, car::scale::log_odds}) {
        std::vector<T> plain(7), registers(7);
        const auto a = car::effect(car::scalar, p, c, labels, {.scale = scale}, {.row_effect = plain});
        const auto b = car::effect(car::simd, p, c, labels, {.scale = scale}, {.row_effect = registers});
        CHECK(a.status == b.status);
        for (std::size_t i = 0; i != 7; ++i) {
            INFO("row " << i);
            CHECK((plain[i] == registers[i] || (std::isnan(plain[i]) && std::isnan(registers[i]))));
        }
        // The odds of the first row's label are exp(far) / 3, without the actor 1 / 3.
        const double bound =
            8 * 0x1p-53 * (static_cast<double>(far) + 2) + static_cast<double>(std::numeric_limits<T>::epsilon() / 2 * far);
        if (scale == car::scale::log_odds) CHECK(std::abs(static_cast<double>(plain[0] - far)) <= bound);
    }
}

TEST_CASE("log-odds keep the digits of a sure class") {
    const double p[1][3] = {{60, 0, -1}}, c[1][3] = {{0, 0, 0}};
    const wide want = 60 - logq(1 + expq(-1)) + logq(wide(2));
    const auto got = car::effect(p, c, std::vector{0}, {.scale = car::scale::log_odds});
    CHECK(std::abs(got.mean - static_cast<double>(want)) <= 8 * 0x1p-53 * 60);
}

TEST_CASE("weights, clusters and the macro mean, as printed") {
    const std::ptrdiff_t n = 90;
    const sample<double> data(n, 3, 21);
    std::vector<double> weights;
    std::vector<int> clusters;
    for (std::ptrdiff_t i = 0; i != n; ++i)
        weights.push_back(i % 7 == 0 ? 0 : 0.5 + 0.1 * static_cast<double>(i % 5)), clusters.push_back(static_cast<int>(i * i % 13));
    wide total = 0, sum = 0, rows = 0, positive = 0;
    for (std::ptrdiff_t i = 0; i != n; ++i) {
        const wide w = weights[static_cast<std::size_t>(i)], e = data.effect(i);
        total += w, sum += w * e, rows += w != 0, positive += e > 0 ? w : wide(0);
    }
    wide square = 0;
    std::vector<wide> of_cluster(13, 0);
    for (std::ptrdiff_t i = 0; i != n; ++i) {
        const wide one = static_cast<wide>(weights[static_cast<std::size_t>(i)]) * (data.effect(i) - sum / total);
        square += one * one;
        of_cluster[static_cast<std::size_t>(clusters[static_cast<std::size_t>(i)])] += one;
    }
    wide clustered = 0, units = 0;
    for (const wide s : of_cluster) clustered += s * s, units += s != 0;
    const auto p = data.view(data.p, 0, n), c = data.view(data.c, 0, n);
    const auto got = car::effect(p, c, data.labels, {}, {.weights = weights});
    CHECK(std::abs(got.mean - static_cast<double>(sum / total)) <= 8 * 0x1p-53);
    CHECK(std::abs(got.standard_error - std::sqrt(static_cast<double>(square * rows / (rows - 1))) / static_cast<double>(total)) <=
          16 * 0x1p-53);
    CHECK(got.count == static_cast<std::int64_t>(rows));
    CHECK(got.positive == doctest::Approx(static_cast<double>(positive / total)).epsilon(1e-14));
    const auto grouped = car::effect(p, c, data.labels, {}, {.weights = weights, .clusters = clusters});
    CHECK(std::abs(grouped.standard_error - std::sqrt(static_cast<double>(clustered * units / (units - 1))) / static_cast<double>(total)) <=
          16 * 0x1p-53);
    CHECK(grouped.units == static_cast<std::int64_t>(units));
    const std::vector<double> equal(static_cast<std::size_t>(n), 3.0);
    CHECK(car::effect(p, c, data.labels, {}, {.weights = equal}).standard_error ==
          doctest::Approx(car::effect(p, c, data.labels).standard_error).epsilon(1e-15));

    car::effect_accumulator accumulator(3);
    accumulator.add(p, c, data.labels);
    double mean = 0, variance = 0;
    for (std::ptrdiff_t k = 0; k != 3; ++k) {
        mean += accumulator.of_class(k).mean / 3;
        variance += std::pow(accumulator.of_class(k).standard_error / 3, 2);
    }
    CHECK(accumulator.macro().mean == doctest::Approx(mean).epsilon(1e-14));
    CHECK(accumulator.macro().standard_error == doctest::Approx(std::sqrt(variance)).epsilon(1e-14));
    CHECK(accumulator.macro().count == n);

    weights[1] = -1;
    const auto negative = car::effect(p, c, data.labels, {}, {.weights = weights});
    CHECK(std::isnan(negative.mean));
    CHECK(negative.reason == car::reason::bad_weight);
    car::effect_accumulator by_class(3);
    by_class.add(p, c, data.labels, {.weights = weights});
    CHECK(by_class.macro().reason == car::reason::bad_weight);
    CHECK(std::isnan(by_class.macro().mean));
    const std::vector<double> none(static_cast<std::size_t>(n), 0.0);
    CHECK(car::effect(p, c, data.labels, {}, {.weights = none}).reason == car::reason::no_rows);
}

TEST_CASE("a bootstrap that is split, merged and weighted by class is the bootstrap of the whole") {
    const sample<double> data(120, 3, 31);
    const car::effect_options options{.interval = car::interval::bootstrap, .resamples = 50, .seed = 3};
    car::effect_accumulator whole(3, options), front(3, options);
    whole.add(data.view(data.p, 0, 120), data.view(data.c, 0, 120), data.labels);
    car::effect_options later = options;
    later.first_row = 70;
    car::effect_accumulator back(3, later);
    back.add(data.view(data.p, 70, 120), data.view(data.c, 70, 120), std::vector<int>(data.labels.begin() + 70, data.labels.end()));
    front.add(data.view(data.p, 0, 70), data.view(data.c, 0, 70), std::vector<int>(data.labels.begin(), data.labels.begin() + 70));
    back.merge(front);
    const auto same = [](const car::estimate& a, const car::estimate& b) {
        CHECK(a.lower == doctest::Approx(b.lower).epsilon(1e-14));
        CHECK(a.upper == doctest::Approx(b.upper).epsilon(1e-14));
        CHECK(a.lower < a.mean);
    };
    same(back.result(), whole.result());
    same(back.macro(), whole.macro());
    car::effect_accumulator twice(3, options); // rows are numbered on from batch to batch
    twice.add(data.view(data.p, 0, 50), data.view(data.c, 0, 50), std::vector<int>(data.labels.begin(), data.labels.begin() + 50));
    twice.add(data.view(data.p, 50, 120), data.view(data.c, 50, 120), std::vector<int>(data.labels.begin() + 50, data.labels.end()));
    same(twice.result(), whole.result());
    const std::vector<double> three{1, 2, 4}; // one resample in twenty has no unit
    const auto few = car::mean_effect(three, options);
    CHECK((few.lower >= 1 && few.lower < few.upper && few.upper <= 4));
    const auto batch = car::effect(data.view(data.p, 0, 120), data.view(data.c, 0, 120), data.labels, options);
    CHECK(batch.lower == whole.result().lower);
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
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.draws = 2}), "car::effect: c has shape 2 x 3, expected 4 x 3");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.draws = (std::int64_t{1} << 62) + 1}),
                      "car::effect: draws is 4611686018427387905, which with 2 rows is larger than memory");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.draws = 0}), "car::effect: draws is 0, expected at least 1");
    float vector[2][3] = {};
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.scale = car::scale::divergence}, {.class_effect = car::view(vector)}),
                      "car::effect: class_effect is given, expected none: a divergence is one number for all classes");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {.interval = car::interval::wilson}),
                      "car::effect: interval is wilson, expected one for means that are no shares");
    CHECK_THROWS_WITH(car::effect(p, q, std::vector{0, 1}, {}, {.row_effect = rows, .row_draw_error = rows}),
                      "car::effect: row_draw_error overlaps row_effect");
    car::effect_accumulator other(3, {.scale = car::scale::logit}), plain(3);
    CHECK_THROWS_WITH(plain.merge(other), "car::effect_accumulator::merge: other has another scale, ignore_index, level, interval or "
                                          "number of draws or resamples, or another seed");
    car::effect_accumulator two(2), three(3);
    CHECK_THROWS_WITH(two.add(p, q, std::vector{0, 1}), "car::effect_accumulator::add: p has 3 columns, expected 2");
    CHECK_THROWS_WITH(two.merge(three), "car::effect_accumulator::merge: other has 3 classes, expected 2");
    CHECK_THROWS_WITH(two.of_class(2), "car::effect_accumulator::of_class: label is 2, expected 0 to 1");
    CHECK_THROWS_WITH(car::effect_accumulator(0), "car::effect_accumulator: classes is less than 1");
}
