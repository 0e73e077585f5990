// SPDX-License-Identifier: Apache-2.0
// The family's ops from logits to logits, and the de-confounded classifier.
#include <car/family/decomposition.hpp>
#include <car/family/deconfounded.hpp>
#include <car/family/guidance.hpp>
#include <car/family/logit_adjustment.hpp>

#include "support/family_reference.hpp"
#include "support/message.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using reference::dual;
using reference::wide;

namespace {

constexpr std::ptrdiff_t rows = 4, classes = 7;
constexpr std::size_t size = static_cast<std::size_t>(rows * classes);

template <class T>
std::vector<T> numbers(double scale, cases::generator& random, std::size_t count = size) {
    std::vector<T> values(count);
    for (T& v : values) v = static_cast<T>(scale * random.normal());
    return values;
}
template <class T>
car::matrix_view<const T> in(const std::vector<T>& values) {
    return {values.data(), rows, classes};
}
template <class T>
car::matrix_view<T> out(std::vector<T>& values) {
    return {values.data(), rows, classes};
}

/// Within `count` roundings of double of what is measured, and one of the type.
template <class T>
bool within(T got, const dual& want, double count, wide scale) {
    const wide allowed = static_cast<wide>(count * 0x1p-53) * scale + reference::magnitude(want.v) * static_cast<wide>(types::u<T>) +
                         2 * static_cast<wide>(types::limits<T>::least_normal);
    return reference::magnitude(static_cast<wide>(got) - want.v) <= allowed;
}
wide size_of(double x) { return reference::magnitude(x); }

} // namespace

TEST_CASE_TEMPLATE("guidance: one and two counterfactuals, the mask, the gradients", T, float, double, car::float16) {
    const T low = static_cast<T>(-HUGE_VAL);
    cases::generator random(21);
    for (const double scale : {0.1, 3.0, 50.0}) {
        auto p = numbers<T>(scale, random), c = numbers<T>(scale, random), d = numbers<T>(scale, random);
        p[2] = low;
        c[2] = d[2] = std::numeric_limits<T>::quiet_NaN(); // not read
        const auto g = numbers<T>(1, random);
        for (const bool two : {false, true})
            for (const std::optional<double> plausibility : {std::optional<double>(), std::optional<double>(0.2)}) {
                const car::guidance_options options{.strength = 1.5, .plausibility = plausibility};
                std::vector<T> z(size), grad_p(size), grad_c(size), grad_d(size);
                car::guidance(in(p), in(c), out(z), options, two ? in(d) : car::matrix_view<const T>());
                car::guidance_vjp(in(p), in(g),
                                  {.grad_p = out(grad_p), .grad_c = out(grad_c), .grad_d = two ? out(grad_d) : car::matrix_view<T>()},
                                  options);
                for (std::size_t i = 0; i != rows; ++i) {
                    double most = -HUGE_VAL;
                    for (std::size_t k = 0; k != classes; ++k) most = std::max(most, static_cast<double>(p[i * classes + k]));
                    for (std::size_t k = 0; k != classes; ++k) {
                        const std::size_t at = i * classes + k;
                        const auto P = static_cast<double>(p[at]), C = static_cast<double>(c[at]), D = static_cast<double>(d[at]);
                        const bool dropped = std::isinf(P) || (plausibility && expq(static_cast<wide>(P) - most) < 0.2);
                        if (dropped) {
                            CHECK(z[at] == low);
                            CHECK(grad_p[at] == T(0));
                            CHECK(grad_c[at] == T(0));
                            continue;
                        }
                        const dual x(static_cast<wide>(P)), y(static_cast<wide>(C)), w(static_cast<wide>(D));
                        const dual want = two ? dual(4.0) * x - dual(1.5) * y - dual(1.5) * w : dual(2.5) * x - dual(1.5) * y;
                        const wide span = size_of(P) + static_cast<wide>(1.5) * (size_of(P - C) + (two ? size_of(P - D) : 0));
                        CHECK(within(z[at], want, 4, span));
                        const wide G = static_cast<wide>(static_cast<double>(g[at]));
                        CHECK(within(grad_p[at], dual((two ? 4 : static_cast<wide>(2.5)) * G), 2, 4 * reference::magnitude(G)));
                        CHECK(within(grad_c[at], dual(static_cast<wide>(-1.5) * G), 2, 2 * reference::magnitude(G)));
                        if (two) CHECK(grad_d[at] == grad_c[at]);
                    }
                }
            }
    }
    std::vector<float> p(6, 1), z(6, 5);
    const car::matrix_view<const float> P(p.data(), 2, 3);
    CHECK(message_of([&] { car::guidance(P, P, {z.data(), 3, 2}); }) == "car::guidance: z has shape 3 x 2, expected 2 x 3");
    CHECK(message_of([&] {
              car::guidance(P, P, {z.data(), 2, 3}, {.plausibility = 0});
          }) == "car::guidance: plausibility is 0.000000, expected a number above 0, at most 1");
    CHECK(message_of([&] { car::guidance(P, P, {p.data() + 1, 1, 3}, {}, P); }) == "car::guidance: z has shape 1 x 3, expected 2 x 3");
    CHECK(message_of([&] {
              car::guidance(car::matrix_view<const float>(p.data(), 1, 4), {p.data(), 1, 4}, {p.data() + 1, 1, 4});
          }) == "car::guidance: z overlaps p");
    CHECK(message_of([&] {
              car::guidance_vjp(P, P, {.grad_p = {z.data(), 2, 3}, .grad_c = {z.data(), 2, 3}});
          }) == "car::guidance_vjp: grad_c overlaps grad_p");
    for (const float v : z) CHECK(v == 5);
    car::guidance(car::matrix_view<const float>(p.data(), 2, 3), {z.data(), 2, 3}, {p.data(), 2, 3}); // in place
    for (const float v : p) CHECK(v == -3);
}

TEST_CASE_TEMPLATE("decompose and fusion_effect", T, float, double) {
    using namespace reference;
    const T low = static_cast<T>(-HUGE_VAL);
    cases::generator random(22);
    for (const double scale : {0.5, 20.0}) {
        auto a = numbers<T>(scale, random);
        const auto b = numbers<T>(scale, random), c = numbers<T>(scale, random);
        a[3] = low;
        std::vector<T> z(size);
        for (const auto part : {car::effect_part::total, car::effect_part::first, car::effect_part::second}) {
            car::decompose(in(a), in(b), in(c), out(z), {.part = part});
            const auto effect = [&](const dual& fact, const dual& partly, const dual& nothing) {
                return part == car::effect_part::total   ? fact - nothing
                       : part == car::effect_part::first ? fact - partly
                                                         : partly - nothing;
            };
            for (std::size_t k = 0; k != size; ++k) {
                if (k == 3)
                    CHECK(z[k] == low);
                else
                    CHECK(within(z[k], effect(dual(wide(a[k])), dual(wide(b[k])), dual(wide(c[k]))), 1, 100));
            }
            for (const auto fusion : {car::fusion::sum, car::fusion::harmonic, car::fusion::gate})
                for (const auto as : {car::formula::exact, car::formula::as_published}) {
                    car::fusion_effect(in(a), in(b), in(c), out(z), {.fusion = fusion, .constant = 0.25, .part = part, .formula = as});
                    const auto h = [&](const dual& p, const dual& q, const dual& v) {
                        const dual floor = as == car::formula::exact ? 0.0 : 1e-12, one = 1.0;
                        if (fusion == car::fusion::gate) return p * sigmoid(q);
                        if (fusion == car::fusion::sum) return log(sigmoid(p + q + v) + floor);
                        const dual product = sigmoid(p) * sigmoid(q) * sigmoid(v);
                        return log(product + floor) - log(one + product);
                    };
                    for (std::size_t k = 0; k != size; ++k) {
                        if (k == 3 && (as == car::formula::exact || fusion == car::fusion::gate)) {
                            CHECK(z[k] == low);
                            continue;
                        }
                        const dual x(0.25), p{wide(a[k])}, q{wide(b[k])}, v{wide(c[k])};
                        const dual fact = k == 3 ? log(dual(1e-12)) : h(p, q, v), partly = h(x, q, x), nothing = h(x, x, x);
                        CHECK(within(z[k], effect(fact, partly, nothing), 16,
                                     magnitude(fact.v) + magnitude(partly.v) + magnitude(nothing.v)));
                    }
                }
        }
    }
    for (const double large : {1e3, 1e6, 1e9}) { // branches that cancel
        const std::vector<T> p{static_cast<T>(large)}, q{T(0.1)}, v{static_cast<T>(-large)};
        std::vector<T> z(1);
        const auto one = [](const auto& of) { return car::matrix_view<const T>(of.data(), 1, 1); };
        car::fusion_effect(one(p), one(q), one(v), car::matrix_view<T>(z.data(), 1, 1), {.part = car::effect_part::total});
        const dual fact = log_sigmoid(dual(wide(p[0])) + dual(wide(q[0])) + dual(wide(v[0]))), nothing = log_sigmoid(dual(0.0));
        CHECK(within(z[0], fact - nothing, 16, magnitude(fact.v) + magnitude(nothing.v)));
    }
    std::vector<T> mean{1, 2}, x{3, 4, 5, 8};
    car::running_mean(mean, car::matrix_view<const T>(x.data(), 2, 2), 0.25);
    CHECK(mean == std::vector<T>{T(1.75), T(3)});
    CHECK(message_of([&] { car::running_mean(mean, car::matrix_view<const T>(x.data(), 2, 2), 1.5); }) ==
          "car::running_mean: ratio is 1.500000, expected a number from 0 to 1");
}

TEST_CASE_TEMPLATE("logit adjustment after training", T, float, double) {
    const T low = static_cast<T>(-HUGE_VAL);
    cases::generator random(23);
    auto p = numbers<T>(3, random), prior = numbers<T>(2, random, classes);
    prior[1] = low;
    p[3] = low;
    std::vector<T> z(size);
    car::logit_adjustment(in(p), prior, out(z), {.strength = 0.75});
    for (std::size_t k = 0; k != size; ++k) {
        if (k == 3 || k % classes == 1)
            CHECK(z[k] == low);
        else
            CHECK(within(z[k], dual(wide(p[k])) - dual(0.75) * dual(wide(prior[k % classes])), 2, 20));
    }
    CHECK(message_of([&] { car::logit_adjustment(in(p), std::vector<T>(2), out(z)); }) ==
          "car::logit_adjustment: log_prior has shape 2 x 1, expected 7 x 1");
}

TEST_CASE("the de-confounded classifier: squares that leave the range") {
    const std::vector<double> w{1, 2}, g{1}, direction{5, -1};
    const auto run = [&](double of_x, double of_w, double strength) {
        std::vector<double> x{3 * of_x, 4 * of_x}, weights{w[0] * of_w, w[1] * of_w}, d{direction[0] * of_x, direction[1] * of_x};
        std::vector<double> all(5);
        const car::matrix_view<const double> X(x.data(), 1, 2), W(weights.data(), 1, 2);
        car::deconfounded(X, W, car::matrix_view<double>(all.data(), 1, 1), {.heads = 1, .gamma = of_w / 32, .strength = strength}, d);
        car::deconfounded_vjp(X, W, {g.data(), 1, 1}, {.grad_x = {&all[1], 1, 2}, .grad_w = {&all[3], 1, 2}},
                              {.heads = 1, .gamma = of_w / 32});
        for (const std::size_t k : {1u, 2u}) all[k] *= of_x;
        for (const std::size_t k : {3u, 4u}) all[k] *= of_w;
        return all;
    };
    for (const double strength : {0.0, 3.0}) {
        const std::vector<double> plain = run(1, 1, strength);
        for (const double factor : {1e160, 1e200, 1e-160, 1e-170})
            for (const bool weights : {false, true}) {
                const std::vector<double> one = weights ? run(1, factor, strength) : run(factor, 1, strength);
                for (std::size_t k = 0; k != 5; ++k) CHECK(one[k] == doctest::Approx(plain[k]).epsilon(1e-13));
            }
    }
}

TEST_CASE_TEMPLATE("the de-confounded classifier and its gradients against the formula in 113 bits", T, float, double) {
    using namespace reference;
    constexpr std::size_t n = 3, d = 6, c = 4;
    cases::generator random(24);
    const auto x = numbers<T>(2, random, n * d), w = numbers<T>(1, random, c * d), e = numbers<T>(1, random, d),
               g = numbers<T>(1, random, n * c);
    const car::matrix_view<const T> X(x.data(), n, d), W(w.data(), c, d), G(g.data(), n, c);
    for (const std::size_t heads : {1u, 2u, 3u}) {
        const std::size_t width = d / heads;
        /// One output, with the derivative along entry `of_x` of x or `of_w` of w.
        const auto formula = [&](std::size_t i, std::size_t k, double strength, std::size_t of_x, std::size_t of_w) {
            const auto X_at = [&](std::size_t j) { return of_x == i * d + j ? dual(wide(x[i * d + j]), 1, 1) : dual(wide(x[i * d + j])); };
            const auto W_at = [&](std::size_t j) { return of_w == k * d + j ? dual(wide(w[k * d + j]), 1, 1) : dual(wide(w[k * d + j])); };
            dual sum;
            for (std::size_t h = 0; h != heads; ++h) {
                dual xx, ww, ee, xe;
                for (std::size_t j = h * width; j != (h + 1) * width; ++j) {
                    const dual E{wide(e[j])};
                    xx = xx + X_at(j) * X_at(j);
                    ww = ww + W_at(j) * W_at(j);
                    ee = ee + E * E;
                    xe = xe + X_at(j) * E;
                }
                const dual cosine = xe / (sqrt(xx) * sqrt(ee));
                for (std::size_t j = h * width; j != (h + 1) * width; ++j)
                    sum = sum + W_at(j) / (sqrt(ww) + dual(0.03125)) *
                                    (X_at(j) / sqrt(xx) - dual(strength) * cosine * dual(wide(e[j])) / sqrt(ee));
            }
            return dual(16.0 / static_cast<double>(heads)) * sum;
        };
        constexpr std::size_t none = 99;
        const auto options = [&](double strength) {
            return car::deconfounded_options{.heads = static_cast<std::int64_t>(heads), .strength = strength};
        };
        std::vector<T> y(n * c), grad_x(n * d), grad_w(c * d);
        for (const double strength : {0.0, 3.0}) {
            car::deconfounded(X, W, car::matrix_view<T>(y.data(), n, c), options(strength), e);
            for (std::size_t i = 0; i != n; ++i)
                for (std::size_t k = 0; k != c; ++k)
                    CHECK(within(y[i * c + k], formula(i, k, strength, none, none), 16, static_cast<wide>(16 * (1 + strength) * 2)));
        }
        car::deconfounded_vjp(X, W, G, {.grad_x = {grad_x.data(), n, d}, .grad_w = {grad_w.data(), c, d}}, options(0));
        for (std::size_t i = 0; i != n; ++i)
            for (std::size_t j = 0; j != d; ++j) {
                dual sum;
                for (std::size_t k = 0; k != c; ++k) sum = sum + dual(wide(g[i * c + k])) * formula(i, k, 0, i * d + j, none);
                CHECK(within(grad_x[i * d + j], dual(sum.d), 32, sum.s));
            }
        for (std::size_t k = 0; k != c; ++k)
            for (std::size_t j = 0; j != d; ++j) {
                dual sum;
                for (std::size_t i = 0; i != n; ++i) sum = sum + dual(wide(g[i * c + k])) * formula(i, k, 0, none, k * d + j);
                CHECK(within(grad_w[k * d + j], dual(sum.d), 32 + n, sum.s));
            }
    }
    std::vector<T> y(n * c, T(-7));
    const car::matrix_view<T> Y(y.data(), n, c);
    CHECK(message_of([&] { car::deconfounded(X, W, Y, {.heads = 4}); }) ==
          "car::deconfounded: heads is 4, expected a divisor of the 6 columns of x");
    CHECK(message_of([&] { car::deconfounded(X, W, Y, {.strength = 3}); }) ==
          "car::deconfounded: direction has shape 0 x 1, expected 6 x 1");
    CHECK(message_of([&] { car::deconfounded_vjp(X, W, G, {}, {.strength = 3}); }) ==
          "car::deconfounded_vjp: strength is not 0, expected 0: the classifier is trained without it");
    for (const T v : y) CHECK(v == T(-7));
}
