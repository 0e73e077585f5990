// SPDX-License-Identifier: Apache-2.0
#include <car/treatment.hpp>

#include "support/causal_model.hpp"
#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

using reference::wide;

namespace {

constexpr double u = 0x1p-53;

/// An estimate and its standard error, from the influence of each row as the formulas print it, in 113-bit arithmetic.
struct printed {
    wide value = 0;
    std::vector<wide> influence;

    double standard_error(const std::vector<int>& clusters = {}) const {
        std::map<int, wide> sums;
        for (std::size_t i = 0; i != influence.size(); ++i) sums[clusters.empty() ? static_cast<int>(i) : clusters[i]] += influence[i];
        wide square = 0;
        for (const auto& sum : sums) square += sum.second * sum.second;
        const auto n = static_cast<double>(influence.size()), units = static_cast<double>(sums.size());
        return std::sqrt(static_cast<double>(square) * units / (units - 1)) / n;
    }
};

/// Rows with nuisances that are wrong on purpose: the formulas hold for any.
struct fixture : model::study {
    std::size_t n;
    explicit fixture(std::size_t rows, std::uint64_t seed, double level = 0) : fixture(rows, model::generator(seed), level) {}
    fixture(std::size_t rows, model::generator random, double level)
        : study(model::occlusion_graph(model::confounding::mild), rows, random, 3), n(rows) {
        for (std::size_t i = 0; i != n; ++i) {
            propensity[i] = 0.1 + 0.8 * random.uniform();
            outcome[i] += level;
            control_mean[i] += level + 0.1 * random.normal();
            treated_mean[i] += level + 0.1 * random.normal();
        }
    }
    car::treatment_data data(std::size_t begin, std::size_t end, bool clustered = false) const {
        const auto part = [&](const auto& values) { return std::span(values).subspan(begin, end - begin); };
        car::treatment_data rows{part(actor), part(outcome), part(propensity), part(control_mean), part(treated_mean)};
        if (clustered) rows.clusters = part(cluster);
        return rows;
    }
    car::treatment_data data(bool clustered = false) const { return data(0, n, clustered); }

    bool t(std::size_t i) const { return actor[i] == 1; }
    wide y(std::size_t i) const { return outcome[i]; }
    wide e(std::size_t i) const { return propensity[i]; }

    template <class Weight>
    printed weighted(Weight weight) const {
        wide w[2] = {0, 0}, wy[2] = {0, 0};
        for (std::size_t i = 0; i != n; ++i) w[t(i)] += weight(i), wy[t(i)] += weight(i) * y(i);
        printed result{wy[1] / w[1] - wy[0] / w[0], {}};
        for (std::size_t i = 0; i != n; ++i) {
            const wide one = static_cast<wide>(n) * weight(i) * (y(i) - wy[t(i)] / w[t(i)]) / w[t(i)];
            result.influence.push_back(t(i) ? one : -one);
        }
        return result;
    }
    template <class Value>
    printed mean(Value value) const {
        printed result;
        for (std::size_t i = 0; i != n; ++i) result.value += value(i) / static_cast<wide>(n);
        for (std::size_t i = 0; i != n; ++i) result.influence.push_back(value(i) - result.value);
        return result;
    }
    wide psi(std::size_t i) const {
        const wide m0 = control_mean[i], m1 = treated_mean[i];
        return m1 - m0 + (t(i) ? (y(i) - m1) / e(i) : -(y(i) - m0) / (1 - e(i)));
    }
    printed on_the_treated() const {
        wide sum = 0, treated = 0;
        const auto one = [&](std::size_t i) {
            const wide r = y(i) - static_cast<wide>(control_mean[i]);
            return t(i) ? r : -r * e(i) / (1 - e(i));
        };
        for (std::size_t i = 0; i != n; ++i) sum += one(i), treated += t(i);
        printed result{sum / treated, {}};
        for (std::size_t i = 0; i != n; ++i)
            result.influence.push_back((one(i) - (t(i) ? result.value : wide(0))) / (treated / static_cast<wide>(n)));
        return result;
    }
};

wide variance(const std::vector<wide>& values) { // with n - 1
    wide mean = 0, square = 0;
    for (wide v : values) mean += v / static_cast<wide>(values.size());
    for (wide v : values) square += (v - mean) * (v - mean);
    return square / static_cast<wide>(values.size() - 1);
}

/// Features are rounded at most four times, as if y were known to 2 ulp: the effect moves by 4 u of the largest term's mean.
void near(const car::treatment_result& got, double value, double error, double scale) {
    CHECK(std::abs(got.mean - value) <= 8 * u * scale);
    CHECK(std::abs(got.standard_error - error) <= 8 * u * scale);
    CHECK(got.lower < got.mean);
    CHECK(got.reason == car::reason::none);
}

} // namespace

TEST_CASE("every estimator against its printed influence function, with and without clusters") {
    for (const double level : {0.0, 1e6}) { // the level cancels in a variance by sums of squares in one double
        const fixture rows(301, 7, level);
        const double scale = 20 * (1 + level); // weights up to 10, two terms
        for (const bool clustered : {false, true}) {
            const std::vector<int> clusters = clustered ? rows.cluster : std::vector<int>{};
            const auto check = [&](const auto& how, const printed& want) {
                near(car::treatment(how, rows.data(clustered)), static_cast<double>(want.value), want.standard_error(clusters), scale);
            };
            check(car::hajek{}, rows.weighted([&](std::size_t i) { return 1 / (rows.t(i) ? rows.e(i) : 1 - rows.e(i)); }));
            check(car::hajek{car::weighting::stabilised},
                  rows.weighted([&](std::size_t i) { return 1 / (rows.t(i) ? rows.e(i) : 1 - rows.e(i)); }));
            check(car::hajek{car::weighting::treated},
                  rows.weighted([&](std::size_t i) { return rows.t(i) ? wide(1) : rows.e(i) / (1 - rows.e(i)); }));
            check(car::hajek{car::weighting::control},
                  rows.weighted([&](std::size_t i) { return rows.t(i) ? (1 - rows.e(i)) / rows.e(i) : wide(1); }));
            check(car::hajek{car::weighting::overlap}, rows.weighted([&](std::size_t i) { return rows.t(i) ? 1 - rows.e(i) : rows.e(i); }));
            check(car::horvitz_thompson{},
                  rows.mean([&](std::size_t i) { return rows.t(i) ? rows.y(i) / rows.e(i) : -rows.y(i) / (1 - rows.e(i)); }));
            check(car::aipw{}, rows.mean([&](std::size_t i) { return rows.psi(i); }));
            check(car::aipw_treated{}, rows.on_the_treated());
            if (clustered) check(car::difference_in_means{}, rows.weighted([](std::size_t) { return wide(1); }));
        }
        std::vector<wide> arm[2], residual[2], difference;
        for (std::size_t i = 0; i != rows.n; ++i) {
            arm[rows.t(i)].push_back(rows.y(i));
            residual[rows.t(i)].push_back(rows.y(i) - static_cast<wide>(rows.t(i) ? rows.treated_mean[i] : rows.control_mean[i]));
            difference.push_back(static_cast<wide>(rows.treated_mean[i]) - static_cast<wide>(rows.control_mean[i]));
        }
        const wide n1 = static_cast<wide>(arm[1].size()), n0 = static_cast<wide>(arm[0].size()), n = n1 + n0;
        const wide a = variance(arm[1]) / n1, b = variance(arm[0]) / n0;
        const auto welch = static_cast<double>((a + b) * (a + b) / (a * a / (n1 - 1) + b * b / (n0 - 1)));
        const auto difference_in_means = car::treatment(car::difference_in_means{}, rows.data());
        const double error = std::sqrt(static_cast<double>(a + b));
        near(difference_in_means, static_cast<double>(rows.weighted([](std::size_t) { return wide(1); }).value), error, scale);
        const double width = car::detail::student_t_quantile(0.95, static_cast<std::int64_t>(welch));
        CHECK(std::abs(difference_in_means.upper - difference_in_means.mean - width * error) <= 64 * u * scale);
        wide mean = 0;
        for (wide d : difference) mean += d / n;
        const wide spread = variance(residual[0]) / n0 + variance(residual[1]) / n1 + variance(difference) / n;
        near(car::treatment(car::t_learner{}, rows.data()), static_cast<double>(mean), std::sqrt(static_cast<double>(spread)), scale);
    }
}

TEST_CASE("strata and front door against their printed influence functions") {
    const fixture rows(601, 11);
    const auto mediator = [&](std::size_t i) { return static_cast<std::size_t>((rows.background[i] > -0.5) + (rows.context[i] > 0.3)); };
    std::vector<int> m;
    for (std::size_t i = 0; i != rows.n; ++i) m.push_back(static_cast<int>(mediator(i)));
    const auto n = static_cast<wide>(rows.n);
    using table = std::array<std::array<wide, 2>, 4>;
    const auto count = [&](const auto& category) {
        std::pair<table, table> result{};
        for (std::size_t i = 0; i != rows.n; ++i) {
            result.first[static_cast<std::size_t>(category[i])][rows.t(i)] += 1;
            result.second[static_cast<std::size_t>(category[i])][rows.t(i)] += rows.y(i);
        }
        return result;
    };

    const auto [size, sum] = count(rows.occlusion);
    printed strata;
    for (std::size_t s = 0; s != 4; ++s) strata.value += (size[s][0] + size[s][1]) / n * (sum[s][1] / size[s][1] - sum[s][0] / size[s][0]);
    wide unbiased = 0, between = 0;
    for (std::size_t i = 0; i != rows.n; ++i) {
        const auto s = static_cast<std::size_t>(rows.occlusion[i]);
        const std::size_t a = rows.t(i);
        const wide effect = sum[s][1] / size[s][1] - sum[s][0] / size[s][0] - strata.value;
        const wide rest = (a == 1 ? 1 : -1) * (size[s][0] + size[s][1]) / size[s][a] * (rows.y(i) - sum[s][a] / size[s][a]);
        strata.influence.push_back(effect + rest);
        between += effect * effect / (n * (n - 1));
        unbiased += rest * rest / (n * n) * size[s][a] / (size[s][a] - 1);
    }
    const double scale = 20;
    near(car::stratification(rows.actor, rows.outcome, rows.occlusion, 4), static_cast<double>(strata.value),
         std::sqrt(static_cast<double>(between + unbiased)), scale);
    near(car::stratification(rows.actor, rows.outcome, rows.occlusion, 4, {}, rows.cluster), static_cast<double>(strata.value),
         strata.standard_error(rows.cluster), scale);

    const auto counted = count(m);
    const auto &seen = counted.first, &total = counted.second; // clang 14 captures no structured binding
    wide arm[2] = {0, 0};
    for (std::size_t k = 0; k != 3; ++k)
        for (std::size_t x = 0; x != 2; ++x) arm[x] += seen[k][x];
    const auto mu = [&](std::size_t k, std::size_t x) { return total[k][x] / seen[k][x]; };
    const auto likely = [&](std::size_t k, std::size_t x) { return seen[k][x] / arm[x]; };
    const auto xi = [&](std::size_t k) { return mu(k, 0) * arm[0] / n + mu(k, 1) * arm[1] / n; };
    const auto psi = [&](std::size_t x) { return likely(0, x) * xi(0) + likely(1, x) * xi(1) + likely(2, x) * xi(2); };
    printed front{psi(1) - psi(0), {}};
    wide inside = 0, across = 0;
    for (std::size_t i = 0; i != rows.n; ++i) {
        const std::size_t x = rows.t(i), k = mediator(i);
        wide level = (x == 1 ? 1 : -1) * (xi(k) - psi(x)) / (arm[x] / n) - front.value, rest = (likely(k, 1) - likely(k, 0)) / likely(k, x);
        for (std::size_t j = 0; j != 3; ++j) level += (likely(j, 1) - likely(j, 0)) * mu(j, x);
        rest *= rows.y(i) - mu(k, x);
        front.influence.push_back(level + rest);
        across += level * level / (n * (n - 1));
        inside += rest * rest / (n * n) * seen[k][x] / (seen[k][x] - 1);
    }
    near(car::front_door(rows.actor, rows.outcome, m, 3), static_cast<double>(front.value), std::sqrt(static_cast<double>(across + inside)),
         scale);
    near(car::front_door(rows.actor, rows.outcome, m, 3, {}, rows.cluster), static_cast<double>(front.value),
         front.standard_error(rows.cluster), scale);
}

namespace {

double worst_ulps = 0;

void agree(const car::estimate& got, const car::estimate& want) {
    const double size = std::max(std::abs(want.mean), want.standard_error), ulp = std::nextafter(size, 1e300) - size;
    CHECK(got.count == want.count);
    const double worse = std::max(std::abs(got.mean - want.mean), std::abs(got.standard_error - want.standard_error)) / ulp;
    worst_ulps = std::max(worst_ulps, worse);
    CHECK(worse <= 4);
    CHECK(std::abs(got.lower - want.lower) <= 32 * ulp); // up to about four standard errors from the mean
    CHECK(std::abs(got.upper - want.upper) <= 32 * ulp);
}

template <class Estimator>
void merge_at_random(const Estimator& how, const car::treatment_options& options, bool clustered, int trees) {
    const fixture rows(400, 3);
    car::treatment_accumulator<Estimator> whole(how, options);
    whole.add(rows.data(clustered));
    model::generator random(5);
    for (int tree = 0; tree != trees; ++tree) {
        std::vector<car::treatment_accumulator<Estimator>> parts;
        for (std::size_t begin = 0; begin != rows.n;) {
            const std::size_t end = std::min(rows.n, begin + random.bits() % 60);
            car::treatment_options from = options;
            from.first_row = static_cast<std::int64_t>(begin);
            parts.emplace_back(how, from).add(rows.data(begin, end, clustered));
            begin = end;
        }
        while (parts.size() > 1) {
            std::swap(parts[random.bits() % parts.size()], parts.back());
            const auto last = parts.back();
            parts.pop_back();
            parts[random.bits() % parts.size()].merge(last);
        }
        agree(parts[0].result(), whole.result());
        CHECK(parts[0].result().treated == whole.result().treated);
    }
}

} // namespace

TEST_CASE("any split, order and tree of merges agrees within 4 ulp, bootstrap and clusters included") {
    const car::treatment_options bootstrap{.interval = car::interval::bootstrap, .resamples = 20, .seed = 9};
    for (const bool clustered : {false, true}) {
        const int trees = clustered ? 100 : 1000;
        merge_at_random(car::aipw{}, bootstrap, clustered, 20);
        merge_at_random(car::aipw{}, {}, clustered, trees);
        merge_at_random(car::hajek{}, {}, clustered, trees);
        merge_at_random(car::difference_in_means{}, {}, clustered, trees);
        merge_at_random(car::aipw_treated{}, {}, clustered, trees);
    }
    merge_at_random(car::t_learner{}, {}, false, 1000);
    MESSAGE("worst difference: " << worst_ulps << " units in the last place of max(|mean|, standard error)");

    const fixture rows(400, 3);
    const auto options = [](std::size_t first) {
        return car::plug_in_options{.interval = car::interval::bootstrap, .resamples = 20, .first_row = static_cast<std::int64_t>(first)};
    };
    car::plug_in_accumulator whole(4, options(0)), front(4, options(200)), back(4, options(0));
    const auto add = [&](car::plug_in_accumulator& to, std::size_t begin, std::size_t end) {
        const auto part = [&](const auto& values) { return std::span(values).subspan(begin, end - begin); };
        to.add(part(rows.actor), part(rows.outcome), part(rows.occlusion), part(rows.cluster));
    };
    add(whole, 0, 400), add(front, 200, 400), add(back, 0, 200);
    front.merge(back);
    agree(front.back_door(), whole.back_door());
    agree(front.front_door(), whole.front_door());
}

TEST_CASE("the bootstrap is a function of its seed, and as wide as the influence function says") {
    const fixture rows(1000, 21);
    const car::treatment_options options{.interval = car::interval::bootstrap, .resamples = 2000, .seed = 1};
    const auto one = car::treatment(car::hajek{}, rows.data(), options), again = car::treatment(car::hajek{}, rows.data(), options);
    CHECK(one.lower == again.lower);
    car::treatment_options other = options;
    other.seed = 2;
    const auto two = car::treatment(car::hajek{}, rows.data(), other);
    CHECK(one.lower != two.lower);
    const double width = 2 * 1.96 * one.standard_error;
    // The standard error of a percentile of 2000 normal numbers is sqrt(0.025 * 0.975 / 2000) / density = 0.06 standard deviations.
    CHECK(std::abs(one.upper - one.lower - width) <= 5 * 0.06 * std::sqrt(2.0) * one.standard_error);
}

TEST_CASE("Poisson counts have mean and variance 1") {
    const int draws = 1'000'000;
    double sum = 0, square = 0, none = 0;
    for (int i = 0; i != draws; ++i) {
        const int k = car::detail::poisson(car::detail::mix(static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15u));
        sum += k, square += k * k, none += k == 0;
    }
    CHECK(std::abs(sum / draws - 1) <= 5 / std::sqrt(draws));
    CHECK(std::abs(square / draws - 2) <= 5 * std::sqrt(11.0 / draws)); // Var(k^2) = 15 - 4
    CHECK(std::abs(none / draws - std::exp(-1)) <= 5 * std::sqrt(0.2325 / draws));
}

TEST_CASE("clipping and trimming when asked, and counted") {
    const std::vector<int> t{1, 0, 1, 0, 1, 0};
    const std::vector<double> y{1, 2, 3, 4, 6, 5}, e{0.02, 0.5, 1.0, 0.0, 0.5, 0.98};
    const car::treatment_data data{.treatment = t, .outcome = y, .propensity = e};
    const auto plain = car::treatment(car::hajek{}, data);
    CHECK(std::isnan(plain.mean));
    CHECK(plain.reason == car::reason::propensity_outside);
    const auto clipped = car::treatment(car::hajek{}, data, {.clip = 0.1});
    CHECK(clipped.clipped == 4);
    CHECK(clipped.count == 6);
    const double want =
        (1 / 0.1 + 3 / 0.9 + 6 / 0.5) / (1 / 0.1 + 1 / 0.9 + 1 / 0.5) - (2 / 0.5 + 4 / 0.9 + 5 / 0.1) / (1 / 0.5 + 1 / 0.9 + 1 / 0.1);
    CHECK(clipped.mean == doctest::Approx(want).epsilon(1e-14));
    const auto trimmed = car::treatment(car::hajek{}, data, {.trim = 0.1});
    CHECK(trimmed.trimmed == 4);
    CHECK(trimmed.count == 2);
    CHECK(trimmed.mean == 4);
}

TEST_CASE("every degenerate case is NaN with a reason") {
    using car::reason;
    const std::vector<double> y{1, 2, 3, 4}, half(4, 0.5);
    const auto of = [&](const std::vector<int>& t, const std::vector<double>& outcome, const std::vector<double>& e) {
        return car::treatment(car::aipw{}, {t, outcome, e, half, half});
    };
    const auto nothing = [](const car::treatment_result& r, reason why) {
        CHECK(std::isnan(r.mean));
        CHECK(std::isnan(r.standard_error));
        CHECK(std::isnan(r.lower));
        CHECK(r.reason == why);
    };
    nothing(of({0, 0, 0, 0}, y, half), reason::no_treated);
    nothing(of({1, 1, 1, 1}, y, half), reason::no_control);
    nothing(of({1, 0, 1, 0}, y, {0.5, 1, 0.5, 0.5}), reason::propensity_outside);
    nothing(of({1, 0, 1, 0}, y, {0.5, 0, 0.5, 0.5}), reason::propensity_outside);
    nothing(of({1, 0, 1, 0}, y, {0.5, -3, 0.5, 0.5}), reason::propensity_outside);
    nothing(of({1, 0, 1, 0}, y, {0.5, NAN, 0.5, 0.5}), reason::not_finite);
    nothing(of({1, 0, 1, 0}, {1, 2, INFINITY, 3}, half), reason::not_finite);
    nothing(of({1, 0, 1, 0}, {1e308, 2, 1e308, 3}, half), reason::not_finite);
    nothing(car::treatment(car::hajek{}, {std::vector<int>{}, std::vector<double>{}, std::vector<double>{}}), reason::no_rows);
    CHECK(of({1, 0, 1, 0}, {1, 2, NAN, 3}, half).status == car::row_status{car::fault::not_finite, 2, 1});
    nothing(car::treatment(car::t_learner{}, {.treatment = std::vector{1, 0, 1, 0},
                                              .outcome = std::vector<double>{1, NAN, 2, 3},
                                              .control_mean = half,
                                              .treated_mean = half}),
            reason::not_finite);

    const auto few =
        car::treatment(car::difference_in_means{}, {.treatment = std::vector{1, 0, 0}, .outcome = std::vector<double>{1, 2, 3}});
    CHECK(few.mean == -1.5);
    CHECK(std::isnan(few.standard_error));
    CHECK(few.reason == reason::too_few);
    const auto one_cluster = car::treatment(
        car::hajek{}, {.treatment = std::vector{1, 0, 1, 0}, .outcome = y, .propensity = half, .clusters = std::vector{7, 7, 7, 7}});
    CHECK(one_cluster.mean == -1);
    CHECK(one_cluster.reason == reason::too_few);

    const std::vector<int> t{1, 0, 1, 0, 1, 1}, s{0, 0, 0, 0, 1, 1};
    const std::vector<double> z{1, 2, 3, 4, 5, 6};
    const auto empty = car::stratification(t, z, s, 3);
    nothing(empty, reason::empty_cell);
    CHECK(empty.empty_cells == 1);
    const auto dropped = car::stratification(t, z, s, 3, {.empty_stratum = car::empty_stratum::drop});
    CHECK(dropped.mean == -1);
    CHECK(dropped.dropped == 2);
    CHECK(dropped.count == 4);
    CHECK(dropped.treated == 2);
    CHECK(dropped.standard_error == doctest::Approx(std::sqrt(2.0)).epsilon(1e-14)); // s^2 = 2 in each arm of two
    nothing(car::front_door(t, z, s, 2), reason::empty_cell);
    nothing(car::stratification(std::vector{1, 1}, std::vector<double>{1, 2}, std::vector{0, 0}, 1), reason::no_control);
    nothing(car::stratification(std::vector{1, 0}, std::vector<double>{1, NAN}, std::vector{0, 0}, 1), reason::not_finite);
    const auto undefined = car::treatment(car::hajek{}, {t, z, std::vector<double>(6, 0.5)},
                                          {.interval = car::interval::bootstrap, .resamples = 200}); // some resample has no control
    CHECK(std::isfinite(undefined.standard_error));
    CHECK(std::isnan(undefined.lower));
    CHECK(undefined.reason == reason::undefined_replicate);
}

TEST_CASE("a propensity that is read and is NaN leaves no answer, whatever is made of it") {
    const std::vector<double> y{1, 2, 3, 5}, mean(4, 0);
    const auto check = [&](const auto& how, std::size_t at, const car::treatment_options& options = {}) {
        std::vector<double> e(4, 0.5);
        e[at] = NAN;
        const auto found = car::treatment(how, {std::vector{1, 0, 1, 0}, y, e, mean, mean}, options);
        CHECK(std::isnan(found.mean));
        CHECK(found.reason == car::reason::not_finite);
        CHECK(found.status == car::row_status{car::fault::not_finite, static_cast<std::ptrdiff_t>(at), 1});
    };
    for (const std::size_t at : {0u, 1u}) {
        for (const auto how : {car::weighting::inverse, car::weighting::treated, car::weighting::control, car::weighting::overlap})
            check(car::hajek{how}, at);
        check(car::horvitz_thompson{}, at);
        check(car::aipw_treated{}, at);
        check(car::aipw{}, at, {.clip = 0.1});
        check(car::difference_in_means{}, at, {.trim = 0.1});
    }
    const std::vector<double> unread(4, NAN);
    CHECK(car::treatment(car::difference_in_means{}, {std::vector{1, 0, 1, 0}, y, unread}).mean == -1.5);
}

TEST_CASE("clusters with numbers of 64 bits are told apart") {
    const std::vector<int> t{1, 0, 1, 0}, s(4, 0);
    const std::vector<double> y{1, 2, 3, 5}, e(4, 0.5);
    const std::vector<std::uint64_t> high{0x8000000000000001u, 0x9000000000000002u, 0xa000000000000003u, 0xf000000000000004u};
    const std::vector<int> low{1, 2, 3, 4};
    const auto same = [](const car::treatment_result& a, const car::treatment_result& b) {
        CHECK(a.units == 4);
        CHECK(a.units == b.units);
        CHECK(a.standard_error == b.standard_error);
    };
    same(car::treatment(car::horvitz_thompson{}, {.treatment = t, .outcome = y, .propensity = e, .clusters = high}),
         car::treatment(car::horvitz_thompson{}, {.treatment = t, .outcome = y, .propensity = e, .clusters = low}));
    same(car::stratification(t, y, s, 1, {}, high), car::stratification(t, y, s, 1, {}, low));
}

TEST_CASE("clusters of rows that are left out are no units") {
    // Stratum 0 has two clusters; a hundred others have treated rows alone, in stratum 1, one of them without an outcome.
    std::vector<int> t{1, 0, 1, 0}, s(4, 0), cluster{1, 1, 2, 2};
    std::vector<double> y{1, 0.5, 2, 1};
    const auto alone = car::stratification(t, y, s, 2, {}, cluster);
    for (int k = 0; k != 100; ++k) {
        t.push_back(1), s.push_back(1), cluster.push_back(10 + k);
        y.push_back(k == 7 ? NAN : 3);
    }
    const auto dropped = car::stratification(t, y, s, 2, {.empty_stratum = car::empty_stratum::drop}, cluster);
    CHECK(dropped.dropped == 100);
    CHECK(dropped.units == 2);
    CHECK(dropped.mean == alone.mean);
    CHECK(alone.standard_error > 0);
    CHECK(dropped.standard_error == alone.standard_error);
    CHECK(dropped.lower == alone.lower);
}

TEST_CASE("Welch's degrees of freedom are whole where they are, at any scale") {
    const double quantile = 2.144786687916927; // of t with 14 degrees, which are exact here
    for (const double scale : {1.0, 1e-90, 1e80}) {
        std::vector<int> t;
        std::vector<double> y;
        for (const double value : {16, 14, 3, 12, 8, 16, 2, 9})
            for (const int arm : {0, 1}) {
                t.push_back(arm);
                y.push_back(scale * (value + 5 * arm));
            }
        const auto found = car::treatment(car::difference_in_means{}, {.treatment = t, .outcome = y});
        CHECK((found.upper - found.mean) / found.standard_error == doctest::Approx(quantile).epsilon(1e-12));
    }
}

TEST_CASE("a resample without any unit is left out, of a table too") {
    std::vector<int> t, s, cluster;
    std::vector<double> y;
    for (int k = 0; k != 5; ++k)
        for (const int arm : {0, 1}) {
            t.push_back(arm), s.push_back(0), cluster.push_back(k);
            y.push_back(k * k % 3 + arm * k);
        }
    const auto table = car::stratification(t, y, s, 1, {.interval = car::interval::bootstrap}, cluster);
    const auto rows = car::treatment(car::difference_in_means{}, {.treatment = t, .outcome = y, .clusters = cluster},
                                     {.interval = car::interval::bootstrap});
    CHECK(table.lower < table.upper);
    CHECK(table.lower == doctest::Approx(rows.lower).epsilon(1e-12));
    CHECK(table.upper == doctest::Approx(rows.upper).epsilon(1e-12));
}

TEST_CASE("rows with clusters and rows without are not one sample") {
    const std::vector<int> t{1, 0, 1, 0}, s(4, 0), cluster{1, 1, 2, 2};
    const std::vector<double> y{1, 2, 3, 5}, e(4, 0.5);
    const std::string message = "clusters are those of some rows, expected them for all rows of a sample or for none";
    car::treatment_accumulator<car::hajek> plain(car::hajek{}), clustered(car::hajek{}), empty(car::hajek{});
    plain.add({.treatment = t, .outcome = y, .propensity = e});
    clustered.add({.treatment = t, .outcome = y, .propensity = e, .clusters = cluster});
    const double before = plain.result().mean;
    CHECK_THROWS_WITH(plain.add({.treatment = t, .outcome = y, .propensity = e, .clusters = cluster}),
                      ("car::treatment: " + message).c_str());
    CHECK_THROWS_WITH(clustered.add({.treatment = t, .outcome = y, .propensity = e}), ("car::treatment: " + message).c_str());
    CHECK_THROWS_WITH(plain.merge(clustered), ("car::treatment_accumulator::merge: " + message).c_str());
    plain.merge(empty), clustered.merge(empty), empty.merge(clustered);
    clustered.add({});
    CHECK(plain.result().mean == before);
    CHECK(plain.result().count == 4);
    CHECK(empty.result().units == 2);

    car::plug_in_accumulator table(1), other(1), none(1);
    table.add(t, y, s);
    other.add(t, y, s, cluster);
    CHECK_THROWS_WITH(table.add(t, y, s, cluster), ("car::plug_in_accumulator::add: " + message).c_str());
    CHECK_THROWS_WITH(other.add(t, y, s), ("car::plug_in_accumulator::add: " + message).c_str());
    CHECK_THROWS_WITH(table.merge(other), ("car::plug_in_accumulator::merge: " + message).c_str());
    table.merge(none), none.merge(other);
    CHECK(table.back_door().count == 4);
    CHECK(none.back_door().units == 2);
}

TEST_CASE("stabilised weights keep the share of a rare arm") {
    for (const std::size_t n : {100u, 1000u, 10000u}) {
        const std::size_t control = n / 16 + 1;
        std::vector<int> t(n, 1);
        std::fill_n(t.begin(), control, 0);
        std::vector<double> w(n);
        car::propensity_weights(car::weighting::stabilised, t, std::vector<double>(n, 0.5), w);
        const wide want = wide(control) / wide(n) * 2;
        CHECK(std::abs(static_cast<double>((wide(w[0]) - want) / want)) <= 3 * u);
    }
}

TEST_CASE("weights") {
    const std::vector<int> t{1, 0, 0, 1, 0};
    const std::vector<double> e{0.25, 0.25, 0.5, 1.0, 0.75};
    std::vector<double> w(5);
    const auto check = [&](car::weighting how, const std::vector<double>& want) {
        car::propensity_weights(how, t, e, w);
        for (std::size_t i = 0; i != 5; ++i) CHECK((i == 3 ? std::isnan(w[i]) : std::abs(w[i] - want[i]) <= 3 * u * want[i]));
    };
    check(car::weighting::inverse, {4, 4.0 / 3, 2, 0, 4});
    check(car::weighting::stabilised, {0.4 * 4, 0.6 * 4 / 3, 1.2, 0, 2.4});
    check(car::weighting::treated, {1, 1.0 / 3, 1, 0, 3});
    check(car::weighting::control, {3, 1, 1, 0, 1});
    check(car::weighting::overlap, {0.75, 0.25, 0.5, 0, 0.75});
}

TEST_CASE("errors") {
    const std::vector<int> t{0, 1}, two{0, 2};
    const std::vector<double> y{1, 2}, three{1, 2, 3};
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {.treatment = two, .outcome = y, .propensity = y}),
                      "car::treatment: treatment in row 1 is 2, expected 0 or 1");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {.treatment = t, .outcome = three}),
                      "car::treatment: outcome has shape 3 x 1, expected 2 x 1");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {.treatment = t, .outcome = y}),
                      "car::treatment: propensity has shape 0 x 1, expected 2 x 1");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {}, {.level = 1.5}),
                      "car::treatment: level is 1.500000, expected a number between 0 and 1");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {}, {.clip = 0.5}),
                      "car::treatment: clip is 0.500000, expected 0 or more and less than 0.5");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {}, {.interval = car::interval::wilson}),
                      "car::treatment: interval is wilson, expected one for means that are no shares");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {}, {.interval = car::interval::bootstrap, .resamples = 1}),
                      "car::treatment: resamples is 1, expected 2 to 1000000");
    CHECK_THROWS_WITH(car::treatment(car::t_learner{}, {.treatment = t, .outcome = y, .control_mean = y, .treated_mean = y, .clusters = t}),
                      "car::treatment: clusters or a bootstrap are given, expected neither for a T-learner: its standard error is of "
                      "independent rows");
    CHECK_THROWS_WITH(car::stratification(t, y, two, 2), "car::plug_in_accumulator::add: category in row 1 is 2, expected 0 to 1");
    CHECK_THROWS_WITH(car::stratification(t, y, car::vector_view<const int>{nullptr, 2}, 2),
                      "car::plug_in_accumulator::add: category is null");
    CHECK_THROWS_WITH(car::stratification(t, y, t, 2, {.interval = car::interval::bootstrap, .resamples = -1}),
                      "car::plug_in_accumulator: resamples is -1, expected 2 to 1000000");
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {}, {.interval = car::interval::bootstrap, .resamples = -1}),
                      "car::treatment: resamples is -1, expected 2 to 1000000");
    const int square[2][2] = {{0, 1}, {1, 0}};
    CHECK_THROWS_WITH(car::treatment(car::hajek{}, {.treatment = square, .outcome = y, .propensity = y}),
                      "car::treatment: treatment has no size, expected a vector");
    CHECK_THROWS_WITH(car::stratification(t, y, t, 0), "car::plug_in_accumulator: categories is less than 1");
    car::treatment_accumulator<car::hajek> a(car::hajek{}), b(car::hajek{}, {.clip = 0.1});
    CHECK_THROWS_WITH(a.merge(b),
                      "car::treatment_accumulator::merge: other has another level, interval, clip, trim, number of resamples or seed");
    const car::treatment_accumulator<car::hajek> overlap(car::hajek{car::weighting::overlap});
    CHECK_THROWS_WITH(a.merge(overlap), "car::treatment_accumulator::merge: other has an estimator with other options");
    std::vector<double> e{0.5, 0.5};
    CHECK_THROWS_WITH(car::propensity_weights(car::weighting::inverse, t, e, e), "car::propensity_weights: weights overlaps propensity");
}
