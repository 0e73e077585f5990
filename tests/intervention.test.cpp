// SPDX-License-Identifier: Apache-2.0
#include <car/adjust.hpp>
#include <car/eigen.hpp>

#include "support/attention_cases.hpp"
#include "support/message.hpp"

#include <doctest/doctest.h>

#include <cmath>

using cases::strided;
using reference::longest;

namespace {

/// The printed formula; t, v, approximator.
struct formula {
    std::size_t batch;
    longest scale;
    bool is_shared; ///< one t for every sample

    template <class Number>
    reference::table<Number> operator()(const reference::arrays<Number>& in) const {
        reference::table<Number> y;
        for (std::size_t b = 0; b != batch; ++b) {
            const auto t = is_shared ? in[0] : reference::sample(in[0], b, batch), v = reference::sample(in[1], b, batch);
            const auto h = reference::product(reference::weights(t, v, scale), v);
            auto both = t;
            for (std::size_t i = 0; i != t.size(); ++i) both[i].insert(both[i].end(), h[i].begin(), h[i].end());
            for (auto& row : reference::projected(both, in[2])) y.push_back(row);
        }
        return y;
    }
};

template <class T, class Call, class Vjp>
void check_intervention(std::size_t batch, const strided<T>& t, const strided<T>& v, const strided<T>& w, bool is_shared,
                        cases::generator& random, Call call, Vjp vjp) {
    const formula f{batch, 0.75L, is_shared};
    const reference::arrays<longest> at{t.table(), v.table(), w.table()};
    const auto want = f(at);
    const strided<T> upstream(want.size(), want[0].size(), 1, random);
    strided<T> y = upstream.like();
    std::vector<strided<T>> grad{t.like(), v.like(), w.like()};
    const car::intervention_options options{.batch = static_cast<std::ptrdiff_t>(batch), .scale = 0.75};
    call(t.view(), v.view(), y.view(), options, w.view());
    const auto have = y.table();
    longest largest = 0;
    for (const auto& row : want)
        for (const longest x : row) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i != want.size(); ++i)
        for (std::size_t j = 0; j != want[i].size(); ++j)
            CHECK(std::abs(have[i][j] - want[i][j]) <= 1e-12L * largest + cases::rounding<T> * std::abs(want[i][j]));
    vjp(t.view(), v.view(), upstream.view(), grad, options, w.view());
    for (std::size_t k = 0; k != 3; ++k)
        if (!at[k].empty()) cases::check_slopes("t, v, approximator", grad[k], at, k, upstream.table(), 1e-12, random, f);
}

} // namespace

TEST_CASE_TEMPLATE("both interventions against long double, their slopes by complex step", T, float, double) {
    cases::generator random(11);
    struct shape {
        std::size_t batch, labels, frames, width, out; ///< out 0: no approximator
    };
    for (const shape& s : {shape{1, 1, 1, 1, 1}, shape{1, 5, 3, 4, 0}, shape{1, 5, 3, 4, 7}, shape{3, 4, 6, 2, 3}, shape{3, 2, 5, 3, 0},
                           shape{2, 3, 200, 4, 2}, shape{2, 34, 3, 5, 4}})
        for (const bool is_shared : {true, false}) {
            const strided<T> t((is_shared ? 1 : s.batch) * s.labels, s.width, 1, random), v(s.batch * s.frames, s.width, 1.5, random);
            const strided<T> w = s.out ? strided<T>(2 * s.width, s.out, 1, random) : strided<T>();
            const auto on_both = [&](const auto& on) {
                check_intervention<T>(
                    s.batch, t, v, w, is_shared, random, [&](const auto&... all) { car::textual_intervention(on, all...); },
                    [&](const auto& queries, const auto& prompts, const auto& g, auto& grad, const auto& options, const auto& by) {
                        car::textual_intervention_vjp(
                            on, queries, prompts, g,
                            {.grad_t = grad[0].view(), .grad_prompts = grad[1].view(), .grad_approximator = grad[2].view()}, options, by);
                    });
                check_intervention<T>(
                    s.batch, t, v, w, is_shared, random, [&](const auto&... all) { car::visual_intervention(on, all...); },
                    [&](const auto& queries, const auto& frames, const auto& g, auto& grad, const auto& options, const auto& by) {
                        car::visual_intervention_vjp(
                            on, queries, frames, g,
                            {.grad_t = grad[0].view(), .grad_v = grad[1].view(), .grad_approximator = grad[2].view()}, options, by);
                    });
            };
            on_both(car::scalar);
            on_both(car::eigen);
        }
}

TEST_CASE("a gradient alone is what it is among all") {
    cases::generator random(12);
    const strided<double> t(3, 4, 1, random), v(10, 4, 1, random), w(8, 5, 1, random), g(6, 5, 1, random);
    std::vector<strided<double>> all{t.like(), v.like(), w.like()}, one = all;
    const car::intervention_options options{.batch = 2};
    car::visual_intervention_vjp(t.view(), v.view(), g.view(), {all[0].view(), all[1].view(), all[2].view()}, options, w.view());
    car::visual_intervention_vjp(t.view(), v.view(), g.view(), {.grad_t = one[0].view()}, options, w.view());
    car::visual_intervention_vjp(t.view(), v.view(), g.view(), {.grad_v = one[1].view()}, options, w.view());
    car::visual_intervention_vjp(t.view(), v.view(), g.view(), {.grad_approximator = one[2].view()}, options, w.view());
    for (std::size_t k = 0; k != 3; ++k) CHECK(one[k].table() == all[k].table());
}

TEST_CASE("errors") {
    const float t[2][3] = {}, v[4][3] = {}, w[6][2] = {}, narrow[4][2] = {}, many[3][3] = {};
    float y[2][6], two[4][2];
    const auto said = [](auto call) { return message_of(call); };
    CHECK(said([&] { car::textual_intervention(t, narrow, car::view(y)); }) ==
          "car::textual_intervention: prompts has shape 4 x 2, expected 4 x 3");
    CHECK(said([&] { car::visual_intervention(t, v, car::view(y), {.batch = 3}); }) ==
          "car::visual_intervention: v has 4 rows, expected a multiple of batch 3");
    CHECK(said([&] { car::visual_intervention(many, v, car::view(two), {.batch = 2}, w); }) ==
          "car::visual_intervention: t has 3 rows, expected 2, or 4 for all samples");
    CHECK(said([&] { car::visual_intervention(t, v, car::view(two), {}, w); }) == "car::visual_intervention: t has 2 rows, expected 4");
    CHECK(said([&] { car::textual_intervention(t, v, car::view(y), {}, w); }) ==
          "car::textual_intervention: y has shape 2 x 6, expected 2 x 2");
    CHECK(said([&] { car::textual_intervention(t, v, car::view(y), {}, t); }) ==
          "car::textual_intervention: approximator has shape 2 x 3, expected 6 x 3");
    CHECK(said([&] { car::textual_intervention(t, v, car::view(y), {.scale = NAN}); }) ==
          "car::textual_intervention: scale is nan, expected a finite number");
    CHECK(said([&] { car::visual_intervention_vjp(t, v, y, {.grad_v = car::view(y)}); }) ==
          "car::visual_intervention_vjp: grad_v has shape 2 x 6, expected 4 x 3");
    float grad[2][3];
    CHECK(said([&] {
              car::textual_intervention_vjp(t, v, y, {.grad_t = car::view(grad), .grad_approximator = car::view(grad)}, {}, {});
          }) == "car::textual_intervention_vjp: grad_approximator has shape 2 x 3, expected 0 x 0");
}
