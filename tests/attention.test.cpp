// SPDX-License-Identifier: Apache-2.0
#include <car/attention.hpp>
#include <car/eigen.hpp>

#include "support/attention_cases.hpp"
#include "support/message.hpp"

#include <doctest/doctest.h>

#include <cmath>

using cases::strided;
using reference::longest;

namespace {

/// The printed formula; q, k, v, query, key, value.
struct formula {
    std::size_t batch;
    longest scale;

    template <class Number>
    reference::table<Number> operator()(const reference::arrays<Number>& in) const {
        reference::table<Number> y;
        for (std::size_t b = 0; b != batch; ++b) {
            const auto of = [&](std::size_t which) { return reference::sample(in[which], b, batch); };
            const auto q = reference::projected(of(0), in[3]), k = reference::projected(of(1), in[4]),
                       v = reference::projected(of(2), in[5]);
            for (auto& row : reference::product(reference::weights(q, k, scale), v)) y.push_back(std::move(row));
        }
        return y;
    }
};

struct shape {
    std::size_t batch, queries, keys, width, values;
};

template <class T, class Backend>
void check_plain(const Backend& on, const shape& s, double size, cases::generator& random) {
    const strided<T> q(s.batch * s.queries, s.width, size, random), k(s.batch * s.keys, s.width, size, random),
        v(s.batch * s.keys, s.values, 1, random), upstream(s.batch * s.queries, s.values, 1, random);
    const double scale = 1 / std::sqrt(static_cast<double>(s.width)), u = 0x1p-53;
    const formula f{s.batch, scale};
    const reference::arrays<longest> at{q.table(), k.table(), v.table(), {}, {}, {}};
    strided<T> y = upstream.like(), grad_q = q.like(), grad_k = k.like(), grad_v = v.like();
    car::attention(on, q.view(), k.view(), v.view(), y.view(), {.batch = static_cast<std::ptrdiff_t>(s.batch)});
    car::attention_vjp(on, q.view(), k.view(), v.view(), upstream.view(),
                       {.grad_q = grad_q.view(), .grad_k = grad_k.view(), .grad_v = grad_v.view()},
                       {.batch = static_cast<std::ptrdiff_t>(s.batch)});

    // The bound of the contract.
    const auto want = f(at), have = y.table();
    for (std::size_t i = 0; i != want.size(); ++i) {
        const std::size_t first = i / s.queries * s.keys;
        longest largest = 0;
        for (std::size_t n = first; n != first + s.keys; ++n) {
            longest sum = 0;
            for (std::size_t d = 0; d != s.width; ++d) sum += std::abs(scale * at[0][i][d] * at[1][n][d]);
            largest = std::max(largest, sum);
        }
        const auto weights = reference::weights<longest>({at[0][i]}, reference::sample(at[1], i / s.queries, s.batch), scale);
        for (std::size_t j = 0; j != s.values; ++j) {
            longest terms = 0;
            for (std::size_t n = 0; n != s.keys; ++n) terms += std::abs(weights[0][n] * at[2][first + n][j]);
            const longest bound = (2 * (static_cast<longest>(s.width) + 4) * largest + static_cast<longest>(s.keys) + 12) * u * terms +
                                  cases::rounding<T> * std::abs(want[i][j]) + 2 * std::numeric_limits<T>::min();
            CHECK(std::abs(have[i][j] - want[i][j]) <= bound);
        }
    }
    const auto g = upstream.table();
    cases::check_slopes("q", grad_q, at, 0, g, 1e-12, random, f);
    cases::check_slopes("k", grad_k, at, 1, g, 1e-12, random, f);
    cases::check_slopes("v", grad_v, at, 2, g, 1e-12, random, f);
}

} // namespace

TEST_CASE_TEMPLATE("attention against long double, its slopes by complex step", T, float, double) {
    cases::generator random(4);
    for (const shape& s : {shape{1, 1, 1, 1, 1}, shape{1, 3, 2, 5, 1}, shape{3, 2, 7, 3, 4}, shape{2, 33, 5, 1, 3}, shape{2, 5, 200, 8, 3},
                           shape{1, 3, 9, 130, 2}, shape{5, 1, 3, 2, 2}})
        for (const double size : {0.1, 1.0, 2.0}) {
            check_plain<T>(car::scalar, s, size, random);
            check_plain<T>(car::eigen, s, size, random);
        }
}

TEST_CASE_TEMPLATE("projections, each on its own and all, and their slopes", T, float, double) {
    cases::generator random(5);
    constexpr std::size_t batch = 2, queries = 3, keys = 4, width = 5, of_k = 6, of_v = 3;
    for (unsigned given = 1; given != 8; ++given) { // 1: query, 2: key, 4: value
        const std::size_t inner = given & 1 ? (given & 2 ? 4 : of_k) : width;
        const std::size_t key_width = given & 2 ? of_k : inner, out = given & 4 ? 7 : of_v;
        const strided<T> q(batch * queries, width, 1, random), k(batch * keys, key_width, 1, random), v(batch * keys, of_v, 1, random),
            upstream(batch * queries, out, 1, random);
        const strided<T> query = given & 1 ? strided<T>(width, inner, 0.5, random) : strided<T>(),
                         key = given & 2 ? strided<T>(key_width, inner, 0.5, random) : strided<T>(),
                         value = given & 4 ? strided<T>(of_v, out, 0.5, random) : strided<T>();
        const formula f{batch, 0.75L};
        const reference::arrays<longest> at{q.table(), k.table(), v.table(), query.table(), key.table(), value.table()};
        strided<T> y = upstream.like();
        std::vector<strided<T>> grad{q.like(), k.like(), v.like(), query.like(), key.like(), value.like()};
        const auto run = [&](const auto& on) {
            const car::attention_options options{.batch = batch, .scale = 0.75};
            const car::attention_projections<const T> by{query.view(), key.view(), value.view()};
            car::attention(on, q.view(), k.view(), v.view(), y.view(), options, by);
            const auto want = f(at), have = y.table();
            for (std::size_t i = 0; i != want.size(); ++i)
                for (std::size_t j = 0; j != out; ++j)
                    CHECK(std::abs(have[i][j] - want[i][j]) <= 1e-13L + cases::rounding<T> * std::abs(want[i][j]));
            car::attention_vjp(on, q.view(), k.view(), v.view(), upstream.view(),
                               {.grad_q = grad[0].view(),
                                .grad_k = grad[1].view(),
                                .grad_v = grad[2].view(),
                                .projections = {grad[3].view(), grad[4].view(), grad[5].view()}},
                               options, by);
            for (std::size_t which = 0; which != 6; ++which)
                if (!at[which].empty())
                    cases::check_slopes("qkv and their projections", grad[which], at, which, upstream.table(), 1e-12, random, f);
        };
        run(car::scalar);
        run(car::eigen);
    }
}

TEST_CASE("a workspace that has had the call is not made larger; gradients that are not wanted change no other") {
    cases::generator random(6);
    const strided<float> q(6, 4, 1, random), k(10, 4, 1, random), v(10, 3, 1, random), upstream(6, 3, 1, random);
    strided<float> both(10, 4, true), one(10, 4, true);
    car::workspace memory;
    const car::attention_options options{.batch = 2, .memory = &memory};
    car::attention_vjp(q.view(), k.view(), v.view(), upstream.view(), {.grad_k = one.view()}, options);
    const auto size = memory.size();
    const double* const where = memory.numbers(0);
    strided<float> rest = q.like();
    car::attention_vjp(q.view(), k.view(), v.view(), upstream.view(), {.grad_k = one.view()}, options);
    CHECK(memory.size() == size);
    CHECK(memory.numbers(0) == where);
    car::attention_vjp(q.view(), k.view(), v.view(), upstream.view(), {.grad_q = rest.view(), .grad_k = both.view()}, {.batch = 2});
    CHECK(both.table() == one.table());
}

TEST_CASE("a key of score -inf is not read from; two-byte types are read and rounded once") {
    const double q[1][1] = {{1}}, k[2][1] = {{-INFINITY}, {3}}, v[2][2] = {{5, 6}, {7, 8}};
    double y[1][2];
    car::attention(q, k, v, car::view(y));
    CHECK(y[0][0] == 7);
    CHECK(y[0][1] == 8);

    const car::bfloat16 half[2][2] = {{car::bfloat16(1.5f), car::bfloat16(-0.25f)}, {car::bfloat16(0.5f), car::bfloat16(2.0f)}};
    car::bfloat16 small[2][2];
    double wide[2][2], exact[2][2];
    for (int i = 0; i != 2; ++i)
        for (int j = 0; j != 2; ++j) wide[i][j] = static_cast<double>(half[i][j]);
    car::attention(half, half, half, car::view(small));
    car::attention(wide, wide, wide, car::view(exact));
    for (int i = 0; i != 2; ++i)
        for (int j = 0; j != 2; ++j)
            CHECK(static_cast<double>(small[i][j]) == static_cast<double>(static_cast<car::bfloat16>(exact[i][j])));
}

TEST_CASE("a NaN spoils its own query alone, bit for bit; no queries") {
    cases::generator random(13);
    strided<float> q(6, 5, 1, random), one(6, 3, true), other(6, 3, true);
    const strided<float> k(8, 5, 1, random), v(8, 3, 1, random);
    car::attention(q.view(), k.view(), v.view(), one.view(), {.batch = 2});
    q.view()(4, 2) = NAN;
    car::attention(q.view(), k.view(), v.view(), other.view(), {.batch = 2});
    for (int i = 0; i != 6; ++i)
        for (int j = 0; j != 3; ++j) {
            if (i == 4) CHECK(std::isnan(other.view()(i, j)));
            if (i != 4) CHECK(other.view()(i, j) == one.view()(i, j));
        }

    const car::matrix_view<const float> none(nullptr, 0, 5), nothing(nullptr, 0, 3);
    strided<float> grad_k = k;
    car::attention(none, k.view(), v.view(), car::matrix_view<float>(nullptr, 0, 3));
    car::attention_vjp(none, k.view(), v.view(), nothing, {.grad_k = grad_k.view()});
    for (int i = 0; i != 8; ++i)
        for (int j = 0; j != 5; ++j) CHECK(grad_k.view()(i, j) == 0);
}

TEST_CASE("errors") {
    const float q[4][3] = {}, k[6][3] = {}, v[6][2] = {}, w[2][3] = {};
    float y[4][2], wide[4][3];
    const auto said = [](auto call) { return message_of(call); };
    CHECK(said([&] { car::attention(q, k, v, car::view(y), {.batch = 0}); }) == "car::attention: batch is 0, expected at least 1");
    CHECK(said([&] { car::attention(q, k, v, car::view(y), {.batch = 3}); }) ==
          "car::attention: q has 4 rows, expected a multiple of batch 3");
    CHECK(said([&] { car::attention(q, v, v, car::view(y)); }) == "car::attention: k has 2 columns, expected 3, as q has");
    CHECK(said([&] { car::attention(q, k, q, car::view(wide)); }) == "car::attention: v has shape 4 x 3, expected 6 x 3");
    CHECK(said([&] { car::attention(q, k, v, car::view(wide)); }) == "car::attention: y has shape 4 x 3, expected 4 x 2");
    CHECK(said([&] { car::attention(q, k, v, car::view(y), {.scale = INFINITY}); }) ==
          "car::attention: scale is inf, expected a finite number");
    CHECK(said([&] { car::attention(q, k, v, car::view(y), {}, {.query = w}); }) ==
          "car::attention: query has shape 2 x 3, expected 3 x 3");
    CHECK(said([&] { car::attention(q, k, v, car::view(y), {}, {.key = car::matrix_view<const float>(w[0], 3, 2)}); }) ==
          "car::attention: key has 2 columns, expected 3, as q has");
    float in[4][3] = {}, grad[6][3];
    CHECK(said([&] { car::attention(in, k, k, car::view(in)); }) == "car::attention: y overlaps q");
    CHECK(said([&] { car::attention_vjp(q, k, v, y, {.grad_q = car::view(y)}); }) ==
          "car::attention_vjp: grad_q has shape 4 x 2, expected 4 x 3");
    CHECK(said([&] { car::attention_vjp(in, k, k, wide, {.grad_q = car::view(in)}); }) == "car::attention_vjp: grad_q overlaps q");
    CHECK(said([&] { car::attention_vjp(q, k, v, wide, {}); }) == "car::attention_vjp: upstream has shape 4 x 3, expected 4 x 2");
    CHECK(said([&] { car::attention_vjp(q, k, k, wide, {.grad_k = car::view(grad), .grad_v = car::view(grad)}); }) ==
          "car::attention_vjp: grad_v overlaps grad_k");
    CHECK(said([&] {
              car::attention(q, car::matrix_view<const float>(k[0], 0, 3), car::matrix_view<const float>(v[0], 0, 2), car::view(y));
          }) == "car::attention: k has no rows, expected at least one for each sample");
}
