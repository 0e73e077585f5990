// SPDX-License-Identifier: Apache-2.0
// Every term and gradient of the loss within its bound, in every precision, against the printed formulas in 113-bit arithmetic.
// With CAR_TABLE=<file>, writes the worst errors as the table of docs/numerics.md.
#include <car/eigen.hpp>
#include <car/loss.hpp>

#include "support/row_cases.hpp"
#include "support/row_reference.hpp"
#include "support/worst_errors.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <complex>
#include <cstdlib>
#include <fstream>

using reference::wide;
using reference::worst_errors;

namespace {

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

/// How many u of its scale each quantity may be off.
struct bounds {
    double cross_entropy, divergence, slope_p, slope_c, slope_of_cross_entropy;
};

bounds bounds_of(car::precision precision, double largest) {
    const double fast = 96 + 2 / largest;
    switch (precision) {
    case car::precision::fast: return {64, fast, fast, fast, 8};
    case car::precision::accurate: return {4, 16, 16, 8, 8};
    case car::precision::highest: break;
    }
    // Rounded once: half a unit in the last place, which is u of the value, and what is lost before, less than u/1000.
    return {1.001, 1.001, 1.001, 1.001, 1.001};
}

const char* name_of(car::precision precision) {
    return precision == car::precision::fast ? "fast" : precision == car::precision::accurate ? "accurate" : "highest";
}

const char* name_of(car::scalar_backend) { return ""; }
const char* name_of(car::simd_backend) { return ", simd"; }
const char* name_of(car::eigen_backend) { return ", eigen"; }

std::vector<wide> widen(const auto& values, double scale) {
    std::vector<wide> wide_values;
    for (auto v : values) wide_values.push_back(static_cast<wide>(scale * static_cast<double>(v)));
    return wide_values;
}

template <class Backend, class T>
void compare(const cases::row<T>& row, const reference::row& want, const setting& s, car::precision precision, worst_errors& worst) {
    using term = car::term_of<T>;
    const double scale = s.logit_scale / s.temperature;
    const auto classes = static_cast<std::ptrdiff_t>(row.p.size());
    std::vector<T> grad_p(row.p.size(), T(NAN)), grad_c(row.p.size(), T(NAN));
    std::vector<term> loss(1, NAN), cross_entropy(1, NAN), divergence(1, NAN), lse_p(1, NAN), lse_y(1, NAN);
    const std::vector<term> upstream{static_cast<term>(s.upstream)};
    const auto call = [&](const car::loss_arrays<T>& arrays) {
        return car::loss(Backend{}, car::matrix_view<const T>(row.p.data(), 1, classes), {row.c.data(), 1, classes}, std::vector{row.label},
                         {.alpha = s.alpha,
                          .strength = s.strength,
                          .temperature = s.temperature,
                          .logit_scale = s.logit_scale,
                          .kl_target = s.target,
                          .flow = s.flow,
                          .precision = precision},
                         arrays);
    };
    call({.lse_p = lse_p, .lse_y = lse_y}); // for which a backend may take another way than for the rest
    const auto result = call({.grad_p = {grad_p.data(), 1, classes},
                              .grad_c = {grad_c.data(), 1, classes},
                              .row_loss = loss,
                              .row_cross_entropy = cross_entropy,
                              .row_divergence = divergence,
                              .upstream = upstream});

    const bool label = s.target == car::kl_target::label;
    const bounds bound = bounds_of(precision, static_cast<double>(want.P[want.factual.peak]));
    const wide want_divergence = label ? want.label_divergence : want.divergence;
    const wide alpha = static_cast<wide>(s.alpha), size = reference::magnitude(alpha);
    const wide want_loss = want.cross_entropy + alpha * want_divergence;
    const auto term_of = [&](const char* quantity, double of, term got, wide value, wide of_scale) {
        worst.add(quantity, types::u<term>, of, static_cast<double>(got), value, of_scale,
                  2 * static_cast<wide>(types::limits<term>::least_normal), row.name);
    };
    term_of("cross-entropy", bound.cross_entropy, cross_entropy[0], want.cross_entropy, want.cross_entropy);
    if (label)
        term_of("cross-entropy of Y", bound.cross_entropy, divergence[0], want_divergence, want_divergence);
    else
        term_of("divergence", bound.divergence, divergence[0], want_divergence, want_divergence);
    const double of_divergence = label ? bound.cross_entropy : bound.divergence;
    term_of("loss, as a share of its bound", 1, loss[0], want_loss,
            static_cast<wide>(bound.cross_entropy) * want.cross_entropy + static_cast<wide>(of_divergence) * size * want_divergence +
                reference::magnitude(want_loss));
    const wide top = reference::magnitude(want.factual.max), top_c = reference::magnitude(want.largest_c);
    term_of("log sum exp of p", bound.cross_entropy, lse_p[0], want.factual.value_of_log_sum(),
            top + reference::magnitude(want.factual.value_of_log_sum()));
    term_of("log sum exp of p - c", bound.cross_entropy, lse_y[0], want.corrected.value_of_log_sum(),
            top + top_c + reference::magnitude(want.corrected.value_of_log_sum()));
    CHECK(divergence[0] >= 0);
    CHECK(result.count == 1);
    CHECK(result.status.ok());
    if (!label && std::all_of(row.c.begin(), row.c.end(), [&](T c) { return c == row.c[0]; })) CHECK(divergence[0] == 0);

    const wide g = static_cast<wide>(upstream[0]) * static_cast<wide>(scale), gc = g * static_cast<wide>(s.strength) * alpha;
    const auto size_of = [](wide x) { return std::abs(static_cast<long double>(x)); };
    // In registers, what is less than normal is lost before factors multiply it.
    const auto allowed = [](long double factor, long double value) {
        const long double before = std::is_same_v<Backend, car::simd_backend> ? factor : 0;
        return 2 * std::max(1.0L, before) * static_cast<long double>(types::limits<T>::least_normal) + types::storage_error<T>(value);
    };
    const long double factor_p = size_of(g), factor_c = size_of(gc), weight = size_of(alpha);
    for (std::size_t k = 0; k != row.p.size(); ++k) {
        const wide ce = want.cross_entropy_slope(k), slope_p = want.slope_p(k, s.flow, s.target),
                   slope_c = want.slope_c(k, s.flow, s.target);
        const wide want_p = g * (ce + alpha * slope_p), want_c = gc * slope_c;
        const long double bound_p =
            label ? bound.slope_of_cross_entropy * size_of(slope_p)
                  : (s.flow == car::flow::stop_factual ? bound.slope_c : bound.slope_p) * size_of(want.scale_p(k, s.flow));
        const long double once = precision == car::precision::highest ? 0 : 2 * size_of(want_p);
        const long double scale_p = factor_p * (bound.slope_of_cross_entropy * size_of(ce) + weight * bound_p) + once;
        worst.add("gradient to p, as a share of its bound", types::u<term>, 1, static_cast<double>(grad_p[k]), want_p, scale_p,
                  allowed(factor_p * std::max(1.0L, weight), size_of(want_p)), row.name);
        const long double scale_c = size_of(label ? slope_c : want.scale_c(k));
        worst.add("gradient to c", types::u<term>, bound.slope_c, static_cast<double>(grad_c[k]), want_c, factor_c * scale_c,
                  allowed(factor_c, size_of(want_c)), row.name);
    }
    if (s.flow == car::flow::stop_target || s.flow == car::flow::stop_counterfactual)
        CHECK(std::all_of(grad_c.begin(), grad_c.end(), [](T slope) { return slope == 0; }));
}

/// The same of every backend.
template <class T>
void compare_backends(const cases::row<T>& row, worst_errors& worst) {
    for (const setting& s : {settings[0], settings[3], settings[4]}) {
        const reference::row want(widen(row.p, 1), widen(row.c, s.strength), row.label);
        compare<car::scalar_backend>(row, want, s, car::precision::accurate, worst);
        compare<car::eigen_backend>(row, want, s, car::precision::accurate, worst);
        compare<car::simd_backend>(row, want, s, car::precision::accurate, worst);
        compare<car::simd_backend>(row, want, s, car::precision::fast, worst);
    }
}

/// The worst of all rows and settings, for each precision.
template <class Backend, class T>
std::map<car::precision, worst_errors> measure(std::initializer_list<car::precision> precisions) {
    cases::generator random(2026);
    std::map<car::precision, worst_errors> worst;
    const auto rows = [&](std::size_t classes, const setting& s, std::size_t every) {
        for (const auto f : cases::all_factual)
            for (const auto g : cases::all_counterfactual) {
                if ((static_cast<std::size_t>(f) * 5 + static_cast<std::size_t>(g)) % every != 0) continue;
                const auto row = cases::make<T>(classes, f, g, random);
                const double scale = s.logit_scale / s.temperature;
                const reference::row want(widen(row.p, scale), widen(row.c, scale * s.strength), row.label);
                for (const car::precision precision : precisions) compare<Backend>(row, want, s, precision, worst[precision]);
            }
    };
    for (const setting& s : settings) {
        for (const std::size_t classes : cases::all_classes)
            rows(classes, s, classes > 2000 ? 43 : classes > 300 ? 11 : 1); // 10 microseconds a column
        if (types::exhaustive()) {
            for (int repeat = 0; repeat != 40; ++repeat)
                for (const std::size_t classes : {2u, 3u, 5u, 10u, 17u, 100u, 400u}) rows(classes, s, 1);
            for (const std::size_t classes : {128256u, 1048576u}) rows(classes, s, 29);
        }
    }
    return worst;
}

struct column {
    std::string title;
    worst_errors worst;
};
std::vector<column> table;

std::string text_of(const std::vector<column>& columns) {
    std::ostringstream text;
    text << "| worst error, in u |";
    for (const column& c : columns) text << ' ' << c.title << " |";
    text << "\n|---|";
    for (std::size_t i = 0; i != columns.size(); ++i) text << "---|";
    for (const auto& item : columns[0].worst.entries()) {
        text << "\n| " << item.first << " |";
        for (const column& c : columns) text << ' ' << worst_errors::figure(c.worst.entries().at(item.first).ratio) << " |";
    }
    return text.str();
}

template <class T, class Backend = car::scalar_backend>
void measure_and_check(std::initializer_list<car::precision> precisions) {
    for (const auto& [precision, worst] : measure<Backend, T>(precisions)) {
        const std::string title = std::string(types::limits<T>::name) + ", " + name_of(precision) + name_of(Backend{});
        worst.check(title);
        table.push_back({title, worst});
    }
}

} // namespace

TEST_CASE("every term and gradient, in every precision and type, against 113-bit arithmetic") {
    using enum car::precision;
    measure_and_check<float>({fast, accurate, highest});
    measure_and_check<double>({fast, accurate, highest});
    measure_and_check<car::bfloat16>({accurate});
    measure_and_check<car::float16>({accurate});
    measure_and_check<float, car::eigen_backend>({accurate});
    measure_and_check<double, car::eigen_backend>({accurate});

    MESSAGE(text_of(table));
    // Eigen's own functions are not the same everywhere.
    std::erase_if(table, [](const column& c) { return c.title.ends_with("eigen"); });
    if (const char* file = std::getenv("CAR_TABLE")) std::ofstream(file) << text_of(table) << '\n';
}

TEST_CASE("the same of the instruction set that runs") {
    using enum car::precision;
    table.clear();
    measure_and_check<float, car::simd_backend>({fast, accurate});
    measure_and_check<double, car::simd_backend>({fast, accurate});
    measure_and_check<car::bfloat16, car::simd_backend>({accurate});
    measure_and_check<car::float16, car::simd_backend>({accurate});
    MESSAGE(text_of(table));
}

TEST_CASE_TEMPLATE("the first columns say nothing of the rest: the same of the instruction set that runs", T, float, double) {
    cases::generator random(5);
    worst_errors worst;
    for (const std::size_t classes : {100u, 1000u, 32000u}) {
        auto row = cases::make<T>(classes, cases::factual::flat, cases::counterfactual::small, random);
        for (std::size_t k = 0; k != 64; ++k) row.c[k] += T(1);
        const reference::row want(widen(row.p, 1), widen(row.c, 1), row.label);
        for (const setting& s : {settings[0], settings[3]}) compare<car::simd_backend>(row, want, s, car::precision::accurate, worst);
    }
    worst.check(types::limits<T>::name);
}

TEST_CASE("the reference is the printed formula") {
    cases::generator random(7);
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
    cases::generator random(11);
    for (const auto flow : {car::flow::full, car::flow::stop_target, car::flow::stop_counterfactual, car::flow::stop_factual})
        for (const std::size_t classes : {1u, 2u, 3u, 10u, 100u}) {
            std::vector<complex> p(classes), c(classes);
            std::vector<double> real_p(classes), real_c(classes), grad_p(classes), grad_c(classes);
            for (std::size_t k = 0; k != classes; ++k) {
                p[k] = real_p[k] = random.normal();
                c[k] = real_c[k] = random.normal();
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

TEST_CASE_TEMPLATE("distances of c whose own rounding shows, and whose exponentials all but overflow: the same of both backends", T, float,
                   double) {
    cases::generator random(6);
    worst_errors worst;
    const auto check = [&](double gap, double distance) {
        cases::row<T> row{{T(gap), T(0.25), T(-1), T(0)}, {T(1.3), T(1.3 - distance), T(1.3 + distance), T(1)}, random.below(4), {}};
        row.name = "gap " + std::to_string(gap) + ", distance " + std::to_string(distance);
        for (T& x : row.c) x += static_cast<T>(random.normal());
        for (const setting& s : {settings[0], settings[3]}) {
            const reference::row want(widen(row.p, 1), widen(row.c, 1), row.label);
            compare<car::simd_backend>(row, want, s, car::precision::accurate, worst);
            compare<car::scalar_backend>(row, want, s, car::precision::accurate, worst);
        }
    };
    for (double distance = 14; distance < 32; distance += 0.03) {
        check(distance + 8, distance);
        check(60, distance);
    }
    for (double distance = 600; distance < 740; distance += 0.1) check(8, distance);
    worst.check(types::limits<T>::name);
}

TEST_CASE_TEMPLATE("a sure row whose peak is often beyond the first columns: the same of the instruction set that runs", T, float, double) {
    cases::generator random(7);
    worst_errors worst;
    const auto check = [&](cases::row<T>& row, const std::string& name) {
        row.name = name;
        for (const setting& s : {settings[0], settings[3], settings[4]}) {
            const reference::row want(widen(row.p, 1), widen(row.c, s.strength), row.label);
            compare<car::simd_backend>(row, want, s, car::precision::accurate, worst);
        }
    };
    for (int repeat = 0; repeat != 30; ++repeat) { // the mean of the first columns' c is no centre
        auto row = cases::make<T>(1025, cases::factual::normal, cases::counterfactual::outlier, random);
        for (T& p : row.p) p /= 12;
        row.p[random.below(1025)] = T(14.5);
        for (T& c : row.c) c /= 4;
        check(row, "sure by 14.5");
    }
    worst.check(types::limits<T>::name);
}

TEST_CASE_TEMPLATE("c far below its mean, in many classes or in two, and as high as p: the same of the instruction set that runs", T, float,
                   double, car::bfloat16) {
    cases::generator random(9);
    worst_errors worst;
    const auto check = [&](std::size_t classes, const std::string& name, auto p, auto c) {
        cases::row<T> row{std::vector<T>(classes), std::vector<T>(classes), random.below(classes), {}};
        row.name = name + ", C = " + std::to_string(classes);
        const std::size_t peak = random.below(classes);
        for (std::size_t k = 0; k != classes; ++k) {
            row.p[k] = static_cast<T>(p(k == peak));
            row.c[k] = static_cast<T>(c(static_cast<double>(row.p[k]), k + 2 >= classes));
            if (classes == 401 && k % 3 == 1 && k != peak && k != row.label) { // which may not be read
                row.p[k] = static_cast<T>(-std::numeric_limits<double>::infinity());
                row.c[k] = static_cast<T>(k % 2 ? NAN : -1e6);
            }
        }
        for (const setting& s : {settings[0], settings[4], settings[5]}) {
            const double scale = s.logit_scale / s.temperature;
            const reference::row want(widen(row.p, scale), widen(row.c, scale * s.strength), row.label);
            for (const auto precision : {car::precision::accurate, car::precision::fast})
                compare<car::simd_backend>(row, want, s, precision, worst);
        }
    };
    for (const std::size_t classes : {10u, 25u, 401u, 1030u}) { // the first is swept beside others, the last has two pieces
        for (const double size : {15.0, 30.0, 100.0, 3000.0})
            check(
                classes, "normal numbers times " + std::to_string(size), [&](bool) { return size / 3 * random.normal(); },
                [&](double, bool) { return size * random.normal(); });
        for (const double gap : {20.0, 35.0, 80.0, 1e5})
            for (const double share : {1.0, -0.5})
                check(
                    classes, "c = " + std::to_string(share) + " p, sure by " + std::to_string(gap),
                    [&](bool peak) { return random.normal() + (peak ? gap : 0); },
                    [&](double p, bool) { return share * p + 0.1 * random.normal(); });
        for (const double far : {-58.0, -90.0, -2e6})
            for (const double size : {0.1, 3.0})
                check(
                    classes, "two c of " + std::to_string(far) + ", p times " + std::to_string(size),
                    [&](bool) { return size * random.normal(); },
                    [&](double, bool last) { return (last ? far : 0) + size * random.normal(); });
    }
    worst.check(types::limits<T>::name);
}

// The scale of an error grows with the divergence, 2e7 here, but Y does not depend on it.
TEST_CASE("two classes of the same least c, however low, share Y by their p") {
    cases::generator random(12);
    for (const float low : {-1e3f, -2e7f}) {
        std::vector<float> p(401), c(401), grad_c(401);
        for (std::size_t k = 0; k != p.size(); ++k) {
            p[k] = static_cast<float>(random.normal());
            c[k] = static_cast<float>(random.normal());
        }
        c[9] = c[200] = low;
        const reference::row want(widen(p, 1), widen(c, 1), 0);
        car::loss(car::simd, car::matrix_view<const float>(p.data(), 1, 401), {c.data(), 1, 401}, std::vector{0}, {},
                  {.grad_c = {grad_c.data(), 1, 401}});
        for (const std::size_t k : {9u, 200u}) {
            CAPTURE(low);
            const double share = 1 / (1 + std::exp(static_cast<double>(p[k == 9 ? 200 : 9]) - static_cast<double>(p[k])));
            CHECK(std::abs(static_cast<double>(grad_c[k]) - (static_cast<double>(want.P[k]) - share)) <= 8 * types::u<float> * share);
        }
    }
}

TEST_CASE_TEMPLATE("what exp(p) has lost and exp(-c) brings back, on every backend", T, float, double) {
    cases::generator random(10);
    worst_errors worst;
    for (const std::size_t classes : {10u, 401u, 1030u})
        for (const double peak : {14.0, 60.0})
            for (const double below : {8.0, 35.0, 42.0}) // in registers, exp(p) is lost from 33 on
                for (const double far : {-29.5, -36.0, -59.0, -125.0})
                    for (const double size : {0.0, 8.0, 20.0})
                        compare_backends(cases::make_lost<T>(classes, peak, below, far, size, random), worst);
    compare_backends(cases::make_lost<T>(10, 0, 658, -700, 0, random), worst); // of floats in double
    worst.check(types::limits<T>::name);
}

TEST_CASE_TEMPLATE("sizes, gaps, tails and offsets at random: the same of the instruction set that runs", T, float, double) {
    cases::generator random(2);
    worst_errors worst;
    for (const std::size_t classes : {10u, 25u, 130u, 1025u}) // the last has its peak beyond the first piece at times
        for (std::size_t repeat = (types::exhaustive() ? 200000 : 2000) / classes; repeat != 0; --repeat) {
            cases::row<T> row{std::vector<T>(classes), std::vector<T>(classes), random.below(classes), {}};
            const double size = std::pow(10, 0.75 * random.normal()), gap = 15 * std::abs(random.normal()),
                         of_c = std::pow(10, random.normal()), offset = random.below(2) == 0 ? 0 : 30 * random.normal();
            const std::size_t peak = random.below(classes), tail = random.below(3);
            row.name = "C = " + std::to_string(classes) + ", p of " + std::to_string(size) + ", sure by " + std::to_string(gap) +
                       ", c of " + std::to_string(of_c) + ", tail " + std::to_string(tail) + ", offset " + std::to_string(offset);
            for (std::size_t k = 0; k != classes; ++k) {
                row.p[k] = static_cast<T>(size * random.normal() + (k == peak ? gap : 0));
                const double n = random.normal();
                const double c = tail == 0 ? n : tail == 1 ? n * std::exp(2 * random.normal()) : random.below(50) == 0 ? 30 * n : 0.01 * n;
                row.c[k] = static_cast<T>(offset + of_c * c);
            }
            for (const setting& s : {settings[0], settings[2], settings[3], settings[4]}) {
                const reference::row want(widen(row.p, 1), widen(row.c, s.strength), row.label);
                compare<car::simd_backend>(row, want, s, car::precision::accurate, worst);
            }
        }
    worst.check(types::limits<T>::name);
}

TEST_CASE_TEMPLATE("additions that all lose the same part of a last place, on every backend", T, float, double) {
    cases::generator random(8);
    worst_errors worst;
    for (const std::size_t classes : {9u, 65u, 1025u})
        for (const double part : cases::lossy_parts) {
            for (const double far : {0.0, 9.0})
                for (const double top : {0.0, -6.930, -20.794}) // exponentials that are all but powers of two
                    compare_backends(cases::make_lossy<T>(std::min<std::size_t>(classes, 521), part, top, far, random), worst);
            // A sure row: of the others one has a c of -12, and phi of their c is a part of the last place of its phi.
            cases::row<T> row{std::vector<T>(classes, T(-20.794)), {}, random.below(classes), "products, C = " + std::to_string(classes)};
            row.c.assign(classes, static_cast<T>(std::sqrt(2 * part * 2 * types::u<T> * 0x1p17)));
            row.c[0] = -12;
            row.p.back() = row.c.back() = 0;
            compare_backends(row, worst);
        }
    worst.check(types::limits<T>::name);
}
