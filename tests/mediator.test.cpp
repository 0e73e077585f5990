// SPDX-License-Identifier: Apache-2.0
#include <car/eigen.hpp>
#include <car/mediator.hpp>

#include "support/attention_cases.hpp"
#include "support/message.hpp"

#include <doctest/doctest.h>

#include <cmath>

using cases::strided;
using reference::longest;

namespace {

/// The printed formula; x, m, then query, key and value of the first and of the second attention.
struct formula {
    std::size_t batch;
    longest scale;

    template <class Number>
    reference::table<Number> operator()(const reference::arrays<Number>& in) const {
        using reference::product, reference::projected;
        reference::table<Number> y;
        for (std::size_t b = 0; b != batch; ++b) {
            const auto x = reference::sample(in[0], b, batch), m = reference::sample(in[1], b, batch);
            const auto v = product(reference::weights(projected(m, in[2]), projected(x, in[3]), scale), projected(x, in[4]));
            auto out = product(reference::weights(projected(x, in[5]), projected(m, in[6]), scale), projected(v, in[7]));
            for (std::size_t i = 0; i != out.size(); ++i) {
                for (std::size_t j = 0; j != out[i].size(); ++j) out[i][j] += x[i][j];
                y.push_back(std::move(out[i]));
            }
        }
        return y;
    }
};

template <class T>
struct given {
    strided<T> x, m;
    std::vector<strided<T>> by; ///< six, each with no row where it is not given
};

template <class T, class Backend>
void check_front_door(const Backend& on, std::size_t batch, const given<T>& in, longest scale, cases::generator& random) {
    const formula f{batch, scale};
    const strided<T> upstream(in.x.table().size(), in.x.table()[0].size(), 1, random);
    reference::arrays<longest> at{in.x.table(), in.m.table()};
    for (const auto& w : in.by) at.push_back(w.table());
    strided<T> y = upstream.like(), grad_x = in.x.like(), grad_m = in.m.like();
    std::vector<strided<T>> grad;
    for (const auto& w : in.by) grad.push_back(w.like());
    const car::front_door_options options{.batch = static_cast<std::ptrdiff_t>(batch), .scale = static_cast<double>(scale)};
    const car::front_door_projections<const T> by{{in.by[0].view(), in.by[1].view(), in.by[2].view()},
                                                  {in.by[3].view(), in.by[4].view(), in.by[5].view()}};
    car::front_door_attention(on, in.x.view(), in.m.view(), y.view(), options, by);
    const auto want = f(at), have = y.table();
    longest largest = 0;
    for (const auto& row : want)
        for (const longest v : row) largest = std::max(largest, std::abs(v));
    for (std::size_t i = 0; i != want.size(); ++i)
        for (std::size_t j = 0; j != want[i].size(); ++j)
            CHECK(std::abs(have[i][j] - want[i][j]) <= 1e-12L * largest + cases::rounding<T> * std::abs(want[i][j]));
    car::front_door_attention_vjp(
        on, in.x.view(), in.m.view(), upstream.view(),
        {.grad_x = grad_x.view(),
         .grad_m = grad_m.view(),
         .projections = {{grad[0].view(), grad[1].view(), grad[2].view()}, {grad[3].view(), grad[4].view(), grad[5].view()}}},
        options, by);
    cases::check_slopes("x", grad_x, at, 0, upstream.table(), 1e-12, random, f);
    cases::check_slopes("m", grad_m, at, 1, upstream.table(), 1e-12, random, f);
    for (std::size_t k = 0; k != grad.size(); ++k)
        if (!at[k + 2].empty()) cases::check_slopes("projections", grad[k], at, k + 2, upstream.table(), 1e-12, random, f);

    // What is wanted alone is the same.
    strided<T> alone = in.m.like();
    car::front_door_attention_vjp(on, in.x.view(), in.m.view(), upstream.view(), {.grad_m = alone.view()}, options, by);
    CHECK(alone.table() == grad_m.table());
}

} // namespace

TEST_CASE_TEMPLATE("front-door attention without projections, as published, and its slopes by complex step", T, float, double) {
    cases::generator random(9);
    struct shape {
        std::size_t batch, rows, mediators, width;
    };
    for (const shape& s : {shape{1, 1, 1, 1}, shape{1, 5, 3, 4}, shape{3, 4, 7, 2}, shape{1, 200, 3, 5}, shape{2, 3, 34, 6}})
        for (const double size : {0.1, 1.0, 1.5}) {
            const given<T> in{strided<T>(s.batch * s.rows, s.width, size, random), strided<T>(s.batch * s.mediators, s.width, size, random),
                              std::vector<strided<T>>(6)};
            check_front_door<T>(car::scalar, s.batch, in, 1, random);
            check_front_door<T>(car::eigen, s.batch, in, 1, random);
        }
}

TEST_CASE_TEMPLATE("front-door attention with every projection, and their slopes", T, float, double) {
    cases::generator random(10);
    constexpr std::size_t batch = 2, width = 4, of_m = 3, inner = 5, read = 6;
    const auto w = [&](std::size_t rows, std::size_t cols) { return strided<T>(rows, cols, 0.5, random); };
    const given<T> in{strided<T>(batch * 5, width, 1, random),
                      strided<T>(batch * 3, of_m, 1, random),
                      {w(of_m, inner), w(width, inner), w(width, read), w(width, 2), w(of_m, 2), w(read, width)}};
    check_front_door<T>(car::scalar, batch, in, 0.5L, random);
    check_front_door<T>(car::eigen, batch, in, 0.5L, random);
}

TEST_CASE("the published projected form: a query, and a projection of what is read, in each attention") {
    cases::generator random(15);
    using reference::product, reference::weights;
    const strided<double> x(4, 3, 1, random), m(5, 3, 1, random), q1(3, 3, 1, random), o1(3, 3, 1, random), q2(3, 3, 1, random),
        o2(3, 3, 1, random);
    strided<double> y(4, 3, true);
    const double scale = 1 / std::sqrt(3.0);
    car::front_door_attention(x.view(), m.view(), y.view(), {.scale = scale},
                              {{.query = q1.view(), .value = o1.view()}, {.query = q2.view(), .value = o2.view()}});
    const auto v = product(product(weights(product(m.table(), q1.table()), x.table(), scale), x.table()), o1.table());
    const auto out = product(product(weights(product(x.table(), q2.table()), m.table(), scale), v), o2.table());
    for (std::size_t i = 0; i != 4; ++i)
        for (std::size_t j = 0; j != 3; ++j) CHECK(std::abs(y.table()[i][j] - (x.table()[i][j] + out[i][j])) <= 1e-13L);
}

TEST_CASE("errors") {
    const float x[4][3] = {}, m[2][3] = {}, w[3][2] = {}, narrow[2][2] = {};
    float y[4][3] = {};
    const auto said = [](auto call) { return message_of(call); };
    CHECK(said([&] { car::front_door_attention(x, m, car::view(y), {.batch = -1}); }) ==
          "car::front_door_attention: batch is -1, expected at least 1");
    CHECK(said([&] { car::front_door_attention(x, narrow, car::view(y)); }) ==
          "car::front_door_attention: x has 3 columns, expected 2, as m has");
    CHECK(said([&] { car::front_door_attention(x, m, car::view(y), {}, {.first = {.value = w}}); }) ==
          "car::front_door_attention: what x reads has 2 columns, expected 3, as x has");
    CHECK(said([&] { car::front_door_attention(x, m, car::matrix_view<float>(y[0], 3, 3)); }) ==
          "car::front_door_attention: y has shape 3 x 3, expected 4 x 3");
    CHECK(said([&] { car::front_door_attention(x, m, car::view(y), {.scale = INFINITY}); }) ==
          "car::front_door_attention: scale is inf, expected a finite number");
    CHECK(said([&] { car::front_door_attention(y, m, car::view(y)); }) == "car::front_door_attention: y overlaps x");
    CHECK(said([&] { car::front_door_attention_vjp(x, m, y, {.grad_m = car::view(y)}); }) ==
          "car::front_door_attention_vjp: grad_m has shape 4 x 3, expected 2 x 3");
    CHECK(said([&] { car::front_door_attention_vjp(x, m, y, {.grad_x = car::view(y)}); }) ==
          "car::front_door_attention_vjp: grad_x overlaps upstream");
}
