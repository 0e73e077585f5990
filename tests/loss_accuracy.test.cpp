// SPDX-License-Identifier: Apache-2.0
#include <car/loss.hpp>

#include "support/row_cases.hpp"
#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <complex>
#include <map>
#include <sstream>

using reference::wide;

namespace {

template <class T>
constexpr double u = std::numeric_limits<T>::epsilon() / 2;
template <class T>
constexpr double floor_of = 2 * static_cast<double>(std::numeric_limits<T>::min());

/// The worst error of each quantity, in units of u times its scale, and the row where it was.
class worst_errors {
    struct entry {
        double ratio = 0, bound = 0;
        std::string where;
    };
    std::map<std::string, entry> entries_;

  public:
    template <class T>
    void add(const std::string& quantity, double bound, T got, wide want, wide scale, const std::string& where) {
        const wide error = reference::magnitude(static_cast<wide>(got) - want) - static_cast<wide>(floor_of<T>);
        double ratio = error <= 0 ? 0 : scale > 0 ? static_cast<double>(error / (scale * static_cast<wide>(u<T>))) : HUGE_VAL;
        if (std::isnan(static_cast<double>(got))) ratio = HUGE_VAL;
        entry& worst = entries_[quantity];
        worst.bound = bound;
        if (ratio > worst.ratio || worst.where.empty()) worst = {ratio, bound, where};
    }
    void report(const char* title) const {
        std::ostringstream text;
        text << title << ", worst error in u:";
        for (const auto& [quantity, worst] : entries_)
            text << "\n  " << quantity << ": " << worst.ratio << " (bound " << worst.bound << ", " << worst.where << ")";
        MESSAGE(text.str());
        for (const auto& item : entries_) {
            INFO(item.first << " at " << item.second.where);
            CHECK(item.second.ratio <= item.second.bound);
        }
    }
};

struct setting {
    car::flow flow;
    car::kl_target target;
    double alpha, strength, temperature, logit_scale, upstream;
};

const setting settings[] = {
    {car::flow::full, car::kl_target::prediction, 1, 1, 1, 1, 1},
    {car::flow::full, car::kl_target::prediction, -0.5, 2, 1, 1, -3.5},
    {car::flow::stop_target, car::kl_target::prediction, 0.75, 1, 1, 1, 0.3},
    {car::flow::stop_counterfactual, car::kl_target::prediction, 2, 1, 1, 1, 1.7},
    {car::flow::stop_factual, car::kl_target::prediction, 1.5, -0.25, 1, 1, 5},
    {car::flow::full, car::kl_target::prediction, 1, 1, 2, 0.5, 2}, // scaling by a power of two is exact
    {car::flow::full, car::kl_target::label, 0.5, 1, 1, 1, -2},
    {car::flow::stop_counterfactual, car::kl_target::label, 3, 1, 1, 1, 1},
};

std::vector<wide> widen(const auto& values, double scale) {
    std::vector<wide> wide_values;
    for (auto v : values) wide_values.push_back(static_cast<wide>(scale * static_cast<double>(v)));
    return wide_values;
}

template <class T>
void compare(const cases::row<T>& row, const setting& s, worst_errors& worst) {
    const double scale = s.logit_scale / s.temperature;
    reference::row want(widen(row.p, scale), widen(row.c, scale * s.strength), row.label);
    const auto classes = static_cast<std::ptrdiff_t>(row.p.size());
    std::vector<T> grad_p(row.p.size(), T(NAN)), grad_c(row.p.size(), T(NAN)), loss(1, T(NAN)), cross_entropy(1, T(NAN)),
        divergence(1, T(NAN));
    const std::vector<T> upstream{static_cast<T>(s.upstream)};
    const std::vector<std::size_t> labels{row.label};
    const auto result =
        car::loss(car::matrix_view<const T>(row.p.data(), 1, classes), car::matrix_view<const T>(row.c.data(), 1, classes), labels,
                  {.alpha = s.alpha,
                   .strength = s.strength,
                   .temperature = s.temperature,
                   .logit_scale = s.logit_scale,
                   .kl_target = s.target,
                   .flow = s.flow},
                  {.grad_p = {grad_p.data(), 1, classes},
                   .grad_c = {grad_c.data(), 1, classes},
                   .row_loss = loss,
                   .row_cross_entropy = cross_entropy,
                   .row_divergence = divergence,
                   .upstream = upstream});

    const bool label = s.target == car::kl_target::label;
    const wide want_divergence = label ? want.label_divergence : want.divergence;
    const wide alpha = static_cast<wide>(s.alpha);
    const wide want_loss = want.cross_entropy + alpha * want_divergence;
    worst.add<T>("cross-entropy", 4, cross_entropy[0], want.cross_entropy, want.cross_entropy, row.name);
    worst.add<T>(label ? "cross-entropy of Y" : "divergence", label ? 4 : 16, divergence[0], want_divergence, want_divergence, row.name);
    const wide loss_scale = 4 * want.cross_entropy + 16 * reference::magnitude(alpha) * want_divergence + reference::magnitude(want_loss);
    worst.add<T>("loss, of 4 CE + 16 |alpha| KL + |value|", 1, loss[0], want_loss, loss_scale, row.name);
    CHECK(divergence[0] >= 0);
    CHECK(result.count == 1);
    CHECK(result.status.ok());
    if (s.target == car::kl_target::prediction && std::all_of(row.c.begin(), row.c.end(), [&](T c) { return c == row.c[0]; }))
        CHECK(divergence[0] == 0);

    const wide g = static_cast<wide>(upstream[0]) * static_cast<wide>(scale), gc = g * static_cast<wide>(s.strength);
    for (std::size_t k = 0; k != row.p.size(); ++k) {
        const wide ce = want.cross_entropy_slope(k);
        const wide want_p = g * (ce + alpha * want.slope_p(k, s.flow, s.target)), want_c = gc * alpha * want.slope_c(k, s.flow, s.target);
        const wide bound_p = label ? 8 * reference::magnitude(want.slope_p(k, s.flow, s.target))
                                   : (s.flow == car::flow::stop_factual ? 8 : 16) * want.scale_p(k, s.flow);
        const wide scale_p = reference::magnitude(g) * (8 * reference::magnitude(ce) + reference::magnitude(alpha) * bound_p) +
                             2 * reference::magnitude(want_p);
        worst.add<T>("grad_p, of 8 |P - label| + |alpha| KL's bound + 2 |value|", 1, grad_p[k], want_p, scale_p, row.name);
        const wide scale_c = label ? reference::magnitude(want.slope_c(k, s.flow, s.target)) : want.scale_c(k);
        worst.add<T>("grad_c", 8, grad_c[k], want_c, reference::magnitude(gc * alpha) * scale_c, row.name);
        if (s.flow == car::flow::stop_target || s.flow == car::flow::stop_counterfactual) CHECK(grad_c[k] == 0);
    }
}

} // namespace

TEST_CASE_TEMPLATE("value, terms and gradients against 113-bit arithmetic", T, float, double) {
    std::mt19937_64 random(2026);
    for (const setting& s : settings) {
        worst_errors worst;
        for (const std::size_t classes : cases::all_classes)
            for (const auto f : cases::all_factual)
                for (const auto g : cases::all_counterfactual) {
                    if (classes > 2000 && (static_cast<int>(f) + static_cast<int>(g)) % 9 != 0) continue; // a row takes 50 ms there
                    if (classes > 300 && (static_cast<int>(f) * 5 + static_cast<int>(g)) % 4 != 0) continue;
                    compare(cases::make<T>(classes, f, g, random), s, worst);
                }
        std::ostringstream title;
        title << (sizeof(T) == 4 ? "float" : "double") << ", flow " << static_cast<int>(s.flow) << ", kl_target "
              << static_cast<int>(s.target) << ", alpha " << s.alpha;
        worst.report(title.str().c_str());
    }
}

TEST_CASE("the reference is the printed formula") {
    std::mt19937_64 random(7);
    for (const std::size_t classes : {2u, 3u, 10u, 400u})
        for (const auto g : {cases::counterfactual::normal, cases::counterfactual::small, cases::counterfactual::outlier}) {
            const auto made = cases::make<double>(classes, cases::factual::normal, g, random);
            const reference::row row(widen(made.p, 1), widen(made.c, 1), made.label);
            const wide printed = row.printed_divergence();
            CHECK(static_cast<double>(reference::magnitude(printed - row.divergence)) <= 1e-20 * static_cast<double>(row.divergence));
            for (std::size_t k = 0; k != classes; ++k) {
                const wide slope = row.P[k] * row.x[k] + row.Y[k] - row.P[k];
                const wide error = reference::magnitude(slope - row.slope_p(k, car::flow::full, car::kl_target::prediction));
                CHECK(static_cast<double>(error) <= 1e-20 * static_cast<double>(row.scale_p(k, car::flow::full)));
            }
        }
}

namespace {

/// The loss as it is printed, of complex logits: its derivative is the imaginary part of a step along the imaginary axis.
using complex = std::complex<double>;
complex printed_loss(const std::vector<complex>& p, const std::vector<complex>& c, const std::vector<complex>& held_p,
                     const std::vector<complex>& held_c, std::size_t label, double alpha) {
    complex sum_p = 0, sum_held = 0, sum_q = 0, loss = 0;
    for (std::size_t k = 0; k != p.size(); ++k) {
        sum_p += std::exp(p[k]);
        sum_held += std::exp(held_p[k]);
        sum_q += std::exp(held_c[k] - c[k]);
    }
    for (std::size_t k = 0; k != p.size(); ++k) {
        const complex P = std::exp(held_p[k]) / sum_held, log_P = held_p[k] - std::log(sum_held),
                      log_Y = held_c[k] - c[k] - std::log(sum_q);
        loss += alpha * P * (log_P - log_Y);
    }
    return loss + std::log(sum_p) - p[label];
}

} // namespace

TEST_CASE("gradients by complex step, with an upstream gradient other than 1") {
    std::mt19937_64 random(11);
    std::normal_distribution<double> normal;
    for (const auto flow : {car::flow::full, car::flow::stop_target, car::flow::stop_counterfactual, car::flow::stop_factual})
        for (const std::size_t classes : {1u, 2u, 3u, 10u, 100u}) {
            std::vector<complex> p(classes), c(classes);
            std::vector<double> real_p(classes), real_c(classes), grad_p(classes), grad_c(classes);
            for (std::size_t k = 0; k != classes; ++k) {
                p[k] = real_p[k] = normal(random);
                c[k] = real_c[k] = normal(random);
            }
            const std::size_t label = random() % classes;
            const double upstream = -2.75, alpha = 0.6, step = 1e-30;
            const auto n = static_cast<std::ptrdiff_t>(classes);
            car::loss(car::matrix_view<const double>(real_p.data(), 1, n), {real_c.data(), 1, n}, std::vector{label},
                      {.alpha = alpha, .flow = flow},
                      {.grad_p = {grad_p.data(), 1, n}, .grad_c = {grad_c.data(), 1, n}, .upstream = std::vector{upstream}});
            for (std::size_t k = 0; k != classes; ++k) {
                const auto slope = [&](bool through_p, bool through_target, bool along_c) {
                    std::vector<complex> moved_p = p, moved_c = c, held = p, target = p;
                    (along_c ? moved_c : moved_p)[k] += complex(0, step);
                    if (!along_c && through_p) held[k] += complex(0, step);
                    if (!along_c && through_target) target[k] += complex(0, step);
                    return upstream * printed_loss(moved_p, moved_c, held, target, label, alpha).imag() / step;
                };
                const bool factual_flows = flow != car::flow::stop_factual, target_flows = flow != car::flow::stop_target;
                const bool c_flows = flow == car::flow::full || flow == car::flow::stop_factual;
                const double bound = 1e-13 * std::abs(upstream); // 13 roundings of terms of size up to about 10, in double
                CHECK(std::abs(grad_p[k] - slope(factual_flows, target_flows, false)) <= bound);
                CHECK(std::abs(grad_c[k] - (c_flows ? slope(false, false, true) : 0)) <= bound);
            }
        }
}
