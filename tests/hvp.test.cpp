// SPDX-License-Identifier: Apache-2.0
// The Hessian-vector product against differences of the gradients' formulas in 113-bit arithmetic, in which what a flow holds fixed is
// a constant.
#include <car/hvp.hpp>
#include <car/loss.hpp>

#include "support/loss_reference.hpp"
#include "support/row_cases.hpp"
#include "support/worst_errors.hpp"

#include <doctest/doctest.h>

#include <optional>

using reference::magnitude;
using reference::wide;

namespace {

struct setting {
    car::loss_options options;
    bool soft = false;
};

struct point {
    std::vector<wide> p, c;
};

std::vector<wide> probabilities(const std::vector<wide>& q, const std::vector<wide>& p) {
    const reference::log_sum sum(q, p);
    std::vector<wide> result;
    for (std::size_t k = 0; k != q.size(); ++k) result.push_back(reference::masked(p[k]) ? 0 : sum.value(q[k]));
    return result;
}

reference::reading reading_of(const car::loss_options& o) {
    return {static_cast<wide>(o.logit_scale), static_cast<wide>(o.softcap.value_or(0)), static_cast<wide>(o.temperature)};
}

/// The logits as the loss reads them.
point read(const point& at, const car::loss_options& o) {
    point result = at;
    for (wide& v : result.p) v = reading_of(o).value(v);
    for (wide& v : result.c) v = static_cast<wide>(o.strength) * reading_of(o).value(v);
    return result;
}

/// The gradients of a row at a point, where what the flow holds fixed has its value at another.
point gradient(const point& at, const point& fixed, const std::vector<wide>& target, const car::loss_options& o) {
    const point here = read(at, o), held = read(fixed, o);
    const bool moves_c = o.flow == car::flow::full || o.flow == car::flow::stop_factual;
    const std::vector<wide> P = probabilities(here.p, here.p), held_P = probabilities(held.p, held.p);
    const std::vector<wide> q = reference::difference(here.p, o.flow == car::flow::stop_counterfactual ? held.c : here.c),
                            held_q = reference::difference(held.p, held.c);
    const std::vector<wide> Y = probabilities(q, here.p), held_Y = probabilities(held_q, held.p);
    wide mass = 0, smoothed_mass = 0, live = 0, divergence = 0, log_sum = reference::log_sum(here.p, here.p).value_of_log_sum();
    const wide smoothing = static_cast<wide>(o.label_smoothing), alpha = static_cast<wide>(o.alpha);
    for (wide v : here.p) live += !reference::masked(v);
    std::vector<wide> smoothed = target, w(P.size());
    for (std::size_t k = 0; k != P.size(); ++k) {
        mass += target[k];
        smoothed[k] = (1 - smoothing) * target[k] + (reference::masked(here.p[k]) ? 0 : smoothing / live);
        smoothed_mass += smoothed[k];
        if (P[k] == 0) continue;
        w[k] = logq(P[k]) - logq(o.flow == car::flow::stop_target ? held_Y[k] : Y[k]);
        divergence += P[k] * w[k];
    }
    point result{std::vector<wide>(P.size()), std::vector<wide>(P.size())};
    for (std::size_t k = 0; k != P.size(); ++k) {
        if (reference::masked(here.p[k])) continue;
        wide to_p = 0, to_c = 0;
        if (o.kl_target == car::kl_target::label) {
            to_p = mass * Y[k] - target[k];
            to_c = moves_c ? -to_p : 0;
        } else if (o.flow == car::flow::stop_factual) {
            to_p = Y[k] - held_P[k];
            to_c = -to_p;
        } else {
            to_p = P[k] * (w[k] - divergence) + (o.flow == car::flow::stop_target ? 0 : Y[k] - P[k]);
            to_c = moves_c ? P[k] - Y[k] : 0;
        }
        const wide entropy = smoothed_mass * P[k] - smoothed[k] + static_cast<wide>(2 * o.z_weight) * log_sum * P[k];
        result.p[k] = reading_of(o).slope(at.p[k]) * (entropy + alpha * to_p);
        result.c[k] = static_cast<wide>(o.strength) * reading_of(o).slope(at.c[k]) * alpha * to_c;
    }
    return result;
}

/// What the errors are measured in: the magnitudes of the terms of the closed form, P - Y and x by the scales of their own bounds.
point scale_of(const point& at, const point& along, const std::vector<wide>& target, const car::loss_options& o) {
    const point here = read(at, o);
    const reference::row row(here.p, here.c, 0);
    const std::size_t classes = row.p.size();
    std::vector<wide> s(classes), r(classes), x(classes);
    wide mean_p = 0, mean_c = 0, covariance = 0, drop = 0, mass = 1;
    for (wide t : target) mass += t;
    const auto slope_p = [&](std::size_t k) { return magnitude(reading_of(o).slope(at.p[k])); };
    const auto slope_c = [&](std::size_t k) { return magnitude(static_cast<wide>(o.strength) * reading_of(o).slope(at.c[k])); };
    for (std::size_t k = 0; k != classes; ++k) {
        if (reference::masked(row.p[k])) continue;
        mean_p += row.P[k] * slope_p(k) * magnitude(along.p[k]);
        mean_c += row.P[k] * slope_c(k) * magnitude(along.c[k]);
    }
    for (std::size_t k = 0; k != classes; ++k) {
        if (reference::masked(row.p[k])) continue;
        s[k] = slope_p(k) * magnitude(along.p[k]) + mean_p;
        r[k] = s[k] + slope_c(k) * magnitude(along.c[k]) + mean_c;
        x[k] = magnitude(row.x[k]) + row.spread + 1;
        covariance += row.P[k] * s[k] * x[k];
        drop += row.scale_c(k) * r[k];
    }
    const wide lse = magnitude(row.factual.value_of_log_sum()) + magnitude(row.factual.max);
    point scale{std::vector<wide>(classes), std::vector<wide>(classes)};
    for (std::size_t k = 0; k != classes; ++k) {
        if (reference::masked(row.p[k])) continue;
        const wide P = row.P[k], Y = row.Y[k], alpha = magnitude(static_cast<wide>(o.alpha)), z = static_cast<wide>(2 * o.z_weight);
        const wide to_p = P * (s[k] * x[k] + covariance + drop) + (row.scale_c(k) + mass * Y) * (r[k] + drop);
        const wide to_c = P * (r[k] + drop) + (row.scale_c(k) + mass * Y) * (r[k] + drop);
        const wide first = mass * P + target[k] + z * lse * P +
                           alpha * (row.scale_p(k, car::flow::full) + P * x[k] + row.scale_c(k) + mass * Y + target[k]);
        const wide bend = o.softcap ? 2 * static_cast<wide>(o.logit_scale / *o.softcap) : 0;
        scale.p[k] = slope_p(k) * (mass * P * s[k] + z * P * (mean_p + lse * s[k]) + alpha * to_p + bend * magnitude(along.p[k]) * first);
        scale.c[k] = slope_c(k) * alpha * (to_c + bend * magnitude(along.c[k]) * (row.scale_c(k) + mass * Y + target[k]));
    }
    return scale;
}

template <class T>
void compare(const cases::row<T>& row, const setting& set, cases::generator& random, reference::worst_errors& worst) {
    using term = car::term_of<T>;
    const std::size_t classes = row.p.size();
    const auto n = static_cast<std::ptrdiff_t>(classes);
    std::vector<T> along_p(classes), along_c(classes), out_p(classes), out_c(classes);
    std::vector<term> soft(classes);
    point at, along;
    std::vector<wide> target(classes);
    for (std::size_t k = 0; k != classes; ++k) {
        along_p[k] = static_cast<T>(random.normal());
        along_c[k] = static_cast<T>(random.normal());
        soft[k] = static_cast<term>(reference::masked(static_cast<wide>(row.p[k])) ? 0 : random.uniform());
        target[k] = set.soft ? static_cast<wide>(soft[k]) : static_cast<wide>(k == row.label);
        at.p.push_back(static_cast<wide>(row.p[k]));
        at.c.push_back(static_cast<wide>(row.c[k]));
        along.p.push_back(static_cast<wide>(along_p[k]));
        along.c.push_back(static_cast<wide>(along_c[k]));
    }
    const std::vector<std::size_t> label{row.label};
    const car::targets<T> labels = set.soft ? car::targets<T>(car::matrix_view<const term>(soft.data(), 1, n)) : car::targets<T>(label);
    const std::vector<term> upstream{term(-2.75)};
    const auto status = car::loss_hvp(car::matrix_view<const T>(row.p.data(), 1, n), {row.c.data(), 1, n}, labels,
                                      {.p = {along_p.data(), 1, n}, .c = {along_c.data(), 1, n}}, set.options,
                                      {.grad_p = {out_p.data(), 1, n}, .grad_c = {out_c.data(), 1, n}, .upstream = upstream});
    CHECK(status.ok());

    const wide step = static_cast<wide>(0x1p-40);
    point ahead = at, behind = at;
    for (std::size_t k = 0; k != classes; ++k) {
        if (reference::masked(at.p[k])) continue;
        ahead.p[k] += step * along.p[k];
        ahead.c[k] += step * along.c[k];
        behind.p[k] -= step * along.p[k];
        behind.c[k] -= step * along.c[k];
    }
    const point after = gradient(ahead, at, target, set.options), before = gradient(behind, at, target, set.options);
    const point scale = scale_of(at, along, target, set.options);
    for (std::size_t k = 0; k != classes; ++k) {
        const wide g = static_cast<wide>(upstream[0]);
        const auto add = [&](const char* quantity, T got, wide change, wide of) {
            const wide want = g * change / (2 * step);
            worst.add(quantity, types::u<T>, 16, static_cast<double>(got), want, magnitude(g) * of,
                      2 * static_cast<wide>(types::limits<T>::least_normal) + static_cast<wide>(1e-20), row.name); // differences: 2^-73
        };
        add("to p", out_p[k], after.p[k] - before.p[k], scale.p[k]);
        add("to c", out_c[k], after.c[k] - before.c[k], scale.c[k]);
    }
}

} // namespace

TEST_CASE_TEMPLATE("within 16u of the magnitudes of its terms, for every flow and option", T, float, double) {
    cases::generator random(31);
    reference::worst_errors worst;
    using enum car::flow;
    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest})
        for (const auto& [target, flow] : {std::pair{car::kl_target::prediction, full},
                                           {car::kl_target::prediction, stop_target},
                                           {car::kl_target::prediction, stop_factual},
                                           {car::kl_target::prediction, stop_counterfactual},
                                           {car::kl_target::label, full},
                                           {car::kl_target::label, stop_counterfactual}})
            for (const bool soft : {false, true})
                for (const bool capped : {false, true}) {
                    setting set{{.alpha = 0.75,
                                 .label_smoothing = soft ? 0.125 : 0,
                                 .z_weight = capped ? 0.0625 : 0,
                                 .kl_target = target,
                                 .flow = flow,
                                 .precision = precision},
                                soft};
                    if (capped && sizeof(T) == 4) { // a double logit is rounded once more when it is capped
                        set.options.softcap = 4.0;
                        set.options.strength = -0.5;
                        set.options.logit_scale = 1.25;
                        set.options.temperature = 0.75;
                    }
                    for (const std::size_t classes : {1u, 2u, 3u, 10u, 31u})
                        for (const auto f : {cases::factual::normal, cases::factual::flat, cases::factual::masked})
                            for (const auto g : {cases::counterfactual::tiny, cases::counterfactual::normal, cases::counterfactual::outlier,
                                                 cases::counterfactual::constant, cases::counterfactual::same})
                                compare(cases::make<T>(classes, f, g, random), set, random, worst);
                }
    for (const auto& item : worst.entries())
        MESSAGE(std::string(types::limits<T>::name) << ", " << item.first << ": " << item.second.ratio << " u at " << item.second.where);
    worst.check(types::limits<T>::name);
}

TEST_CASE("without alpha c is not read: its direction leads nowhere") {
    const std::vector<double> p{1, 2, 0.5}, along{0.25, -1, 2};
    std::vector<double> plain(3, -7), grad_p(3, -7), grad_c(3, -7);
    const car::matrix_view<const double> P(p.data(), 1, 3), D(along.data(), 1, 3);
    const std::vector<int> label{1};
    for (const std::optional<double> softcap : {std::optional<double>(), std::optional(3.0)}) {
        const car::loss_options options{.alpha = 0, .softcap = softcap};
        car::loss_hvp(car::scalar, P, {}, label, {.p = D}, options, {.grad_p = {plain.data(), 1, 3}});
        car::loss_hvp(car::scalar, P, {}, label, {.p = D, .c = D}, options,
                      {.grad_p = {grad_p.data(), 1, 3}, .grad_c = {grad_c.data(), 1, 3}});
        CHECK(grad_p == plain);
        CHECK(grad_c == std::vector<double>(3, 0));
    }
}

TEST_CASE("a batch: weights, masks, the mean, in place of the direction, special rows, errors") {
    const double inf = HUGE_VAL, nan = std::nan("");
    const std::vector<double> p{1, 2, 0.5, -1, 0, 1, nan, 1, 1, -inf, -inf, -inf, 2, -inf, 1, 3, 3, 3};
    const std::vector<double> c{0, 1, -1, 2, 1, 0, 0, 0, 0, 1, 1, 1, 0.5, nan, 2, 0, inf, 0};
    const std::vector<int> labels{0, -100, 1, 1, 0, 2};
    std::vector<double> along_p(18, 0), along_c(18, 0);
    for (std::size_t k = 0; k != 18; ++k) {
        along_p[k] = 0.25 * static_cast<double>(k % 5) - 0.5;
        along_c[k] = 0.5 * static_cast<double>(k % 3) - 0.25;
    }
    const std::vector<double> weight{1, 2, 4};
    const car::matrix_view<const double> P(p.data(), 6, 3), C(c.data(), 6, 3);
    const car::loss_direction<double> direction{.p = {along_p.data(), 6, 3}, .c = {along_c.data(), 6, 3}};
    std::vector<double> out_p(18, -7), out_c(18, -7), first_p(3), first_c(3);
    const auto status = car::loss_hvp(P, C, labels, direction, {.divisor = 8.0},
                                      {.grad_p = {out_p.data(), 6, 3}, .grad_c = {out_c.data(), 6, 3}, .weight = weight});
    CHECK(status == car::row_status{car::fault::not_finite, 2, 3});
    for (std::size_t k = 0; k != 3; ++k) {
        CHECK(out_p[3 + k] == 0); // ignored
        CHECK(out_c[3 + k] == 0);
        CHECK(std::isnan(out_p[6 + k]));
        CHECK(out_p[9 + k] == 0); // masked
        CHECK(std::isnan(out_p[15 + k]));
    }
    CHECK(out_p[13] == 0); // a masked class
    CHECK(std::isfinite(out_p[12]));

    car::loss_hvp(car::scalar, car::matrix_view<const double>(p.data(), 1, 3), {c.data(), 1, 3}, std::vector{0},
                  {.p = {along_p.data(), 1, 3}, .c = {along_c.data(), 1, 3}}, {},
                  {.grad_p = {first_p.data(), 1, 3}, .grad_c = {first_c.data(), 1, 3}});
    for (std::size_t k = 0; k != 3; ++k) {
        CHECK(first_p[k] == 8 * out_p[k]);
        CHECK(first_c[k] == 8 * out_c[k]);
    }
    std::vector<double> in_place = along_p;
    car::loss_hvp(P, C, labels, {.p = {in_place.data(), 6, 3}, .c = {along_c.data(), 6, 3}}, {.divisor = 8.0},
                  {.grad_p = {in_place.data(), 6, 3}, .weight = weight});
    CHECK(in_place[0] == out_p[0]);
    CHECK(in_place[14] == out_p[14]);

    std::vector<double> rows(6);
    CHECK_THROWS_WITH(car::loss_hvp(P, C, labels, direction, {}, {.row_loss = rows}),
                      "car::loss_hvp: an array of row terms is given, expected grad_p and grad_c alone");
    CHECK_THROWS_WITH(car::loss_hvp(P, C, labels, {.p = {along_p.data(), 3, 6}}, {}, {.grad_p = {out_p.data(), 6, 3}}),
                      "car::loss_hvp: direction.p has shape 3 x 6, expected 6 x 3");
    CHECK_THROWS_WITH(car::loss_hvp(P, C, labels, {.c = {along_c.data(), 6, 3}}, {}, {.grad_p = {along_c.data(), 6, 3}}),
                      "car::loss_hvp: grad_p overlaps direction.c");
}
