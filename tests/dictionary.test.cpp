// SPDX-License-Identifier: Apache-2.0
#include <car/dictionary.hpp>
#include <car/eigen.hpp>

#include "support/attention_cases.hpp"
#include "support/message.hpp"

#include <doctest/doctest.h>

#include <cmath>

using cases::strided;
using reference::longest;

namespace {

/// The printed formula; x, z, prior (a column), query, key.
struct formula {
    longest scale;
    car::normalise how;

    template <class Number>
    reference::table<Number> operator()(const reference::arrays<Number>& in) const {
        auto w = reference::weights(reference::projected(in[0], in[3]), reference::projected(in[1], in[4]), scale);
        for (auto& row : w) {
            Number sum = 0;
            for (std::size_t k = 0; k != row.size(); ++k) sum += row[k] *= in[2][k][0];
            if (how == car::normalise::yes)
                for (Number& v : row) v /= sum;
        }
        return reference::product(w, in[1]);
    }
};

std::vector<double> probabilities(std::size_t entries, cases::generator& random) {
    std::vector<double> prior(entries);
    double sum = 0;
    for (double& p : prior) sum += p = 1 + static_cast<double>(random.below(7));
    for (double& p : prior) p /= sum;
    return prior;
}

template <class T, class Backend>
void check_dictionary(const Backend& on, std::size_t rows, std::size_t entries, std::size_t width, double size, car::normalise how,
                      cases::generator& random) {
    using term = car::term_of<T>;
    const strided<T> x(rows, width, size, random), z(entries, width, size, random), upstream(rows, width, 1, random);
    std::vector<term> terms;
    for (const double p : probabilities(entries, random)) terms.push_back(static_cast<term>(p));
    const auto prior = strided<term>::column(terms);
    const double scale = 1 / std::sqrt(static_cast<double>(width)), u = 0x1p-53;
    const formula f{scale, how};
    const reference::arrays<longest> at{x.table(), z.table(), prior.table(), {}, {}};
    strided<T> y = upstream.like(), grad_x = x.like(), grad_z = z.like();
    auto grad_prior = prior;
    car::confounder_dictionary(on, x.view(), z.view(), terms, y.view(), {.normalise = how});
    car::confounder_dictionary_vjp(on, x.view(), z.view(), terms, upstream.view(),
                                   {.grad_x = grad_x.view(), .grad_z = grad_z.view(), .grad_prior = grad_prior.vector()},
                                   {.normalise = how});

    const auto want = f(at), have = y.table();
    longest log_prior = 0;
    for (const term p : terms) log_prior = std::max(log_prior, -std::log(static_cast<longest>(p)));
    for (std::size_t i = 0; i != rows; ++i) {
        longest largest = 0;
        reference::table<longest> magnitude = at[1];
        for (std::size_t k = 0; k != entries; ++k) {
            longest sum = 0;
            for (std::size_t d = 0; d != width; ++d) {
                sum += std::abs(scale * at[0][i][d] * at[1][k][d]);
                magnitude[k][d] = std::abs(magnitude[k][d]);
            }
            largest = std::max(largest, sum);
        }
        auto w = reference::weights<longest>({at[0][i]}, at[1], scale);
        longest sum = 0;
        for (std::size_t k = 0; k != entries; ++k) sum += w[0][k] *= at[2][k][0];
        if (how == car::normalise::yes)
            for (longest& v : w[0]) v /= sum;
        const auto size_of = reference::product(w, magnitude);
        for (std::size_t j = 0; j != width; ++j) {
            const longest count = 2 * (static_cast<longest>(width) + 5) * largest + 10 * log_prior + static_cast<longest>(entries) + 16;
            CHECK(std::abs(have[i][j] - want[i][j]) <=
                  count * u * size_of[0][j] + cases::rounding<T> * std::abs(want[i][j]) + 2 * std::numeric_limits<T>::min());
        }
    }
    cases::check_slopes("x", grad_x, at, 0, upstream.table(), 1e-12, random, f);
    cases::check_slopes("z", grad_z, at, 1, upstream.table(), 1e-12, random, f);
    cases::check_slopes("prior", grad_prior, at, 2, upstream.table(), 1e-12, random, f);
}

} // namespace

TEST_CASE_TEMPLATE("both readings against long double, their slopes by complex step", T, float, double) {
    cases::generator random(7);
    for (const car::normalise how : {car::normalise::as_published, car::normalise::yes})
        for (const double size : {0.1, 1.0, 2.0}) {
            check_dictionary<T>(car::scalar, 1, 1, 1, size, how, random);
            check_dictionary<T>(car::scalar, 5, 7, 3, size, how, random);
            check_dictionary<T>(car::eigen, 5, 7, 3, size, how, random);
            check_dictionary<T>(car::scalar, 3, 200, 8, size, how, random);
        }
}

TEST_CASE_TEMPLATE("projections and their slopes", T, float, double) {
    cases::generator random(8);
    using term = car::term_of<T>;
    const strided<T> x(4, 5, 1, random), z(6, 3, 1, random), query(5, 2, 0.5, random), key(3, 2, 0.5, random), upstream(4, 3, 1, random);
    std::vector<term> terms;
    for (const double p : probabilities(6, random)) terms.push_back(static_cast<term>(p));
    auto prior = strided<term>::column(terms);
    const reference::arrays<longest> at{x.table(), z.table(), prior.table(), query.table(), key.table()};
    std::vector<strided<T>> grad{x.like(), z.like(), query.like(), key.like()};
    for (const car::normalise how : {car::normalise::as_published, car::normalise::yes}) {
        const formula f{0.5L, how};
        car::confounder_dictionary_vjp(x.view(), z.view(), terms, upstream.view(),
                                       {.grad_x = grad[0].view(),
                                        .grad_z = grad[1].view(),
                                        .grad_prior = prior.vector(),
                                        .projections = {grad[2].view(), grad[3].view()}},
                                       {.normalise = how, .scale = 0.5}, {query.view(), key.view()});
        cases::check_slopes("x", grad[0], at, 0, upstream.table(), 1e-12, random, f);
        cases::check_slopes("z", grad[1], at, 1, upstream.table(), 1e-12, random, f);
        cases::check_slopes("prior", prior, at, 2, upstream.table(), 1e-12, random, f);
        cases::check_slopes("query", grad[2], at, 3, upstream.table(), 1e-12, random, f);
        cases::check_slopes("key", grad[3], at, 4, upstream.table(), 1e-12, random, f);
    }
}

TEST_CASE("the published weights do not sum to 1: of equal priors, a K-th of the mean; an entry of prior 0 counts for nothing") {
    const double x[1][2] = {{0.5, -1}}, z[4][2] = {{1, 1}, {1, 2}, {1, 3}, {1, 4}};
    double published[1][2], y[1][2];
    const std::vector<double> even{0.25, 0.25, 0.25, 0.25}, prior{0.5, 0, 0.5, 0};
    car::confounder_dictionary(x, z, even, car::view(published), {.normalise = car::normalise::as_published});
    car::confounder_dictionary(x, z, even, car::view(y));
    CHECK(published[0][0] == doctest::Approx(0.25).epsilon(1e-15));
    CHECK(y[0][0] == doctest::Approx(1).epsilon(1e-15));
    CHECK(published[0][1] == doctest::Approx(y[0][1] / 4).epsilon(1e-15));

    const double kept[2][2] = {{1, 1}, {1, 3}}, g[1][2] = {{1, 2}};
    double alone[1][2], grad_z[4][2];
    std::vector<double> grad_prior(4, 7);
    car::confounder_dictionary(x, kept, std::vector{0.5, 0.5}, car::view(alone));
    car::confounder_dictionary(x, z, prior, car::view(y));
    for (int j = 0; j != 2; ++j) CHECK(y[0][j] == doctest::Approx(alone[0][j]).epsilon(1e-15));
    car::confounder_dictionary_vjp(x, z, prior, g, {.grad_z = car::view(grad_z), .grad_prior = grad_prior});
    for (int j = 0; j != 2; ++j) CHECK(grad_z[1][j] == 0);
    CHECK(grad_prior[3] == 0);
}

TEST_CASE("the published code, with biases: columns of ones") {
    cases::generator random(14);
    using reference::product, reference::turned;
    const strided<double> x(3, 4, 1, random), z(5, 2, 1, random), query(5, 3, 1, random), key(3, 3, 1, random); // the last rows: biases
    const std::vector<double> prior{0.125, 0.25, 0.125, 0.375, 0.125};
    strided<double> x1(3, 5, true), z1(5, 3, false), y(3, 3, true);
    for (int i = 0; i != 3; ++i)
        for (int j = 0; j != 5; ++j) x1.view()(i, j) = j == 4 ? 1 : x.view()(i, j);
    for (int i = 0; i != 5; ++i)
        for (int j = 0; j != 3; ++j) z1.view()(i, j) = j == 2 ? 1 : z.view()(i, j);
    car::confounder_dictionary(x1.view(), z1.view(), prior, y.view(), {.normalise = car::normalise::as_published},
                               {query.view(), key.view()});

    // softmax(mm(Wy(x), Wz(z).t()) / sqrt(E)), then the prior times each entry
    const auto linear = [](const auto& in, const auto& weight, std::size_t inputs) {
        auto out = product(in, reference::table<longest>(weight.begin(), weight.begin() + static_cast<std::ptrdiff_t>(inputs)));
        for (auto& row : out)
            for (std::size_t j = 0; j != row.size(); ++j) row[j] += weight[inputs][j];
        return out;
    };
    auto a = reference::weights(linear(x.table(), query.table(), 4), linear(z.table(), key.table(), 2), 1 / std::sqrt(3.0L));
    for (std::size_t i = 0; i != 3; ++i) {
        longest mass = 0;
        for (std::size_t k = 0; k != 5; ++k) mass += a[i][k] *= static_cast<longest>(prior[k]);
        CHECK(y.table()[i][2] == doctest::Approx(static_cast<double>(mass)).epsilon(1e-14));
    }
    const auto wanted = product(a, z.table());
    for (std::size_t i = 0; i != 3; ++i)
        for (std::size_t j = 0; j != 2; ++j) CHECK(y.table()[i][j] == doctest::Approx(static_cast<double>(wanted[i][j])).epsilon(1e-13));
}

TEST_CASE("errors") {
    const float x[2][3] = {}, z[4][3] = {}, w[3][2] = {};
    const std::vector<float> prior{0.25f, 0.25f, 0.25f, 0.25f};
    float y[2][3], narrow[2][2];
    const auto said = [](auto call) { return message_of(call); };
    CHECK(said([&] { car::confounder_dictionary(x, z, std::vector<float>{}, car::view(y)); }) ==
          "car::confounder_dictionary: prior has size 0, expected at least 1");
    CHECK(said([&] { car::confounder_dictionary(x, z, std::vector{1.0f}, car::view(y)); }) ==
          "car::confounder_dictionary: z has shape 4 x 3, expected 1 x 3");
    CHECK(said([&] {
              car::confounder_dictionary(x, z, std::vector{0.5f, 0.25f, 0.125f, 0.0f}, car::view(y));
          }) == "car::confounder_dictionary: prior has sum 0.875000, expected 1");
    CHECK(said([&] {
              car::confounder_dictionary(x, z, std::vector{1.5f, -0.5f, 0.0f, 0.0f}, car::view(y));
          }) == "car::confounder_dictionary: prior of entry 1 is -0.500000, expected at least 0");
    CHECK(said([&] { car::confounder_dictionary(x, z, prior, car::view(narrow)); }) ==
          "car::confounder_dictionary: y has shape 2 x 2, expected 2 x 3");
    CHECK(said([&] { car::confounder_dictionary(x, z, prior, car::view(y), {}, {.query = w}); }) ==
          "car::confounder_dictionary: z has 3 columns, expected 2, as query has");
    CHECK(said([&] { car::confounder_dictionary(x, z, prior, car::view(y), {.scale = NAN}); }) ==
          "car::confounder_dictionary: scale is nan, expected a finite number");
    std::vector<float> grad(3);
    CHECK(said([&] { car::confounder_dictionary_vjp(x, z, prior, y, {.grad_prior = grad}); }) ==
          "car::confounder_dictionary_vjp: grad_prior has shape 3 x 1, expected 4 x 1");
    CHECK(said([&] { car::confounder_dictionary_vjp(x, z, prior, y, {.grad_x = car::view(y)}); }) ==
          "car::confounder_dictionary_vjp: grad_x overlaps upstream");
}
