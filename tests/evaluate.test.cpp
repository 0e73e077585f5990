// SPDX-License-Identifier: Apache-2.0
#include <car/evaluate.hpp>

#include "support/causal_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

TEST_CASE_TEMPLATE("top-k against sorting", T, float, double) {
    model::generator random(1);
    constexpr std::size_t rows = 200, classes = 7;
    std::vector<T> p(rows * classes);
    for (T& v : p) v = static_cast<T>(random.bits() % 5); // many ties
    std::vector<int> labels;
    for (std::size_t i = 0; i != rows; ++i) labels.push_back(static_cast<int>(random.bits() % classes));
    for (std::int64_t k = 1; k <= 7; ++k) {
        std::vector<double> hits(rows, -1);
        CHECK(car::top_k(car::matrix_view<const T>{p.data(), rows, classes}, labels, hits, {.k = k}).ok());
        for (std::size_t i = 0; i != rows; ++i) {
            std::vector<int> order{0, 1, 2, 3, 4, 5, 6};
            std::sort(order.begin(), order.end(), [&](int a, int b) {
                const T first = p[i * classes + static_cast<std::size_t>(a)], second = p[i * classes + static_cast<std::size_t>(b)];
                return first != second ? first > second : a < b;
            });
            CHECK(hits[i] == static_cast<double>(std::find(order.begin(), order.begin() + k, labels[i]) != order.begin() + k));
        }
    }
}

TEST_CASE("top-k: NaN is reported, ignored rows are not") {
    const double p[3][2] = {{1, 2}, {NAN, 1}, {0, 1}};
    std::vector<double> hits(3);
    CHECK(car::top_k(p, std::vector{1, 1, -100}, hits) == car::row_status{car::fault::not_finite, 1, 1});
    CHECK(hits[0] == 1);
    CHECK(std::isnan(hits[1]));
    CHECK(std::isnan(hits[2]));
}

TEST_CASE("bins") {
    const std::vector<double> values{-1, 0, 0.24, 0.25, 0.5, 0.9, NAN}, edges{0, 0.25, 0.5};
    std::vector<std::int64_t> groups(7);
    car::bins(values, edges, groups);
    CHECK(groups == std::vector<std::int64_t>{0, 1, 1, 2, 3, 3, -1});
}

TEST_CASE("a profile: groups, parents, all, macro, drop, ranking") {
    // Class 0: 3 of 4 right, class 1: 1 of 2, class 2: 0 of 1; then with occlusion.
    const std::vector<double> before{1, 1, 1, 0, 1, 0, 0}, after{1, 0, 0, 0, 1, 0, 0};
    const std::vector<int> classes{0, 0, 0, 0, 1, 1, 2};
    car::profile accuracy(4), drop(4);
    accuracy.add(before, classes);
    drop.add_drop(before, after, classes);
    CHECK(accuracy.of(0).mean == 0.75);
    CHECK(accuracy.of(0).standard_error == doctest::Approx(std::sqrt(0.75 * 0.25 / 3)).epsilon(1e-15)); // m (1 - m) / (n - 1)
    CHECK(accuracy.of(1).mean == 0.5);
    CHECK(std::isnan(accuracy.of(2).standard_error));
    CHECK(accuracy.of(2).reason == car::reason::too_few);
    CHECK(accuracy.of(3).reason == car::reason::no_rows);
    const std::vector<std::ptrdiff_t> parent{1, 2};
    CHECK(accuracy.of(parent).mean == doctest::Approx(1.0 / 3).epsilon(1e-15));
    CHECK(accuracy.all().mean == doctest::Approx(4.0 / 7).epsilon(1e-15));
    CHECK(accuracy.macro().mean == doctest::Approx((0.75 + 0.5 + 0) / 3).epsilon(1e-15)); // class 3 has no row
    CHECK(accuracy.ranked() == std::vector<std::ptrdiff_t>{0, 1, 2});
    CHECK(drop.of(0).mean == 0.5);
    CHECK(drop.of(0).standard_error == doctest::Approx(std::sqrt(1.0 / 12)).epsilon(1e-15)); // of 0, 1, 1, 0: paired
    CHECK(drop.ranked() == std::vector<std::ptrdiff_t>{0, 1, 2});
    car::profile grouped(1);
    grouped.add(before, std::vector<int>(7, 0), std::vector{1, 1, 2, 2, 3, 3, 3});
    CHECK(grouped.all().units == 3);

    car::profile left(4), right(4);
    left.add(std::vector(before.begin(), before.begin() + 3), std::vector(classes.begin(), classes.begin() + 3));
    right.add(std::vector(before.begin() + 3, before.end()), std::vector(classes.begin() + 3, classes.end()));
    right.merge(left);
    CHECK(right.all().standard_error == accuracy.all().standard_error);
    CHECK(right.of(0).mean == accuracy.of(0).mean);
}

TEST_CASE("the macro mean of one group is the group's, interval and all") {
    const std::vector<double> values{-0.027874130338500707, 1.4489390506059441, 1.699401720334921};
    for (const auto interval : {car::interval::student_t, car::interval::normal, car::interval::bootstrap}) {
        car::profile one(1, {.interval = interval});
        one.add(values, std::vector<int>(3, 0));
        const auto group = one.of(0), macro = one.macro();
        CHECK(macro.mean == group.mean);
        CHECK(macro.lower == doctest::Approx(group.lower).epsilon(1e-14));
        CHECK(macro.upper == doctest::Approx(group.upper).epsilon(1e-14));
    }
}

TEST_CASE("values with clusters and values without are not one sample") {
    car::profile plain(2), clustered(2);
    plain.add(std::vector<double>(4, 0.0), std::vector<int>(4, 0));
    clustered.add(std::vector<double>{1, 1}, std::vector{1, 1}, std::vector{1, 2});
    CHECK_THROWS_WITH(plain.add(std::vector<double>{1, 1}, std::vector{1, 1}, std::vector{1, 2}),
                      "car::profile::add: clusters are those of some rows, expected them for all rows of a sample or for none");
    CHECK_THROWS_WITH(plain.merge(clustered),
                      "car::profile::merge: clusters are those of some rows, expected them for all rows of a sample or for none");
    CHECK(plain.all().count == 4);
}

TEST_CASE("Wilson's interval, from its definition: the ends solve (m - x)^2 = z^2 x (1 - x) / n") {
    for (const std::size_t n : {1u, 10u, 350u}) {
        for (const std::size_t right : {std::size_t{0}, n / 2, n}) {
            std::vector<double> hits(n, 0);
            std::fill_n(hits.begin(), right, 1.0);
            car::profile profile(1, {.interval = car::interval::wilson});
            profile.add(hits, std::vector<int>(n, 0));
            const auto all = profile.all();
            const double z = 1.959963984540054, count = static_cast<double>(n);
            for (const double x : {all.lower, all.upper})
                CHECK(std::abs((all.mean - x) * (all.mean - x) - z * z * x * (1 - x) / count) <= 1e-15);
            CHECK((all.lower >= 0 && all.upper <= 1 && all.lower < all.upper));
        }
    }
}

TEST_CASE("errors") {
    const double p[1][2] = {{0, 1}};
    std::vector<double> hits(1);
    CHECK_THROWS_WITH(car::top_k(p, std::vector{0}, hits, {.k = 3}), "car::top_k: k is 3, expected 1 to 2");
    CHECK_THROWS_WITH(car::top_k(p, std::vector{2}, hits), "car::top_k: label in row 0 is 2, expected 0 to 1 or ignore_index -100");
    std::vector<std::int64_t> groups(1);
    CHECK_THROWS_WITH(car::bins(hits, std::vector<double>{1, 1}, groups), "car::bins: edge 1 is not above the one before it");
    CHECK_THROWS_WITH(car::bins(hits, std::vector<double>{NAN}, groups), "car::bins: edge 0 is NaN");
    CHECK_THROWS_WITH(car::profile(2).add(hits, car::vector_view<const int>{nullptr, 1}), "car::profile::add: groups is null");
    car::profile plain(2), wilson(2, {.interval = car::interval::wilson}), three(3);
    CHECK_THROWS_WITH(plain.add(hits, std::vector{2}), "car::profile::add: group in row 0 is 2, expected -1 to 1");
    CHECK_THROWS_WITH(plain.add(hits, std::vector{0, 1}), "car::profile::add: groups has size 2, expected 1, one for each value");
    CHECK_THROWS_WITH(wilson.add(std::vector{0.5}, std::vector{0}),
                      "car::profile::add: value in row 0 is 0.500000, expected 0 or 1 for Wilson's interval");
    CHECK_THROWS_WITH(wilson.add(std::vector{1.0}, std::vector{0}, std::vector{4}),
                      "car::profile::add: clusters are given, expected none for Wilson's interval");
    CHECK_THROWS_WITH(plain.merge(three), "car::profile::merge: other has 3 groups, expected 2");
    CHECK_THROWS_WITH(plain.of(2), "car::profile::of: group is 2, expected 0 to 1");
    CHECK_THROWS_WITH(car::profile(0), "car::profile: groups is less than 1");
}
