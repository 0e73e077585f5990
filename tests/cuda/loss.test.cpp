// SPDX-License-Identifier: Apache-2.0
// The loss on a device within its bounds, on every kernel: against the printed formulas in 113-bit arithmetic.
#include <car/cuda.hpp>

#include "support/device_batch.hpp"
#include "support/loss_answer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

namespace {

using number = long double;

/// The worst error of each quantity as a share of its bound, and where it was.
class worst_shares {
    std::map<std::string, std::pair<double, std::string>> entries_;

  public:
    void add(const std::string& quantity, double got, number want, number bound, const std::string& where) {
        const number error = std::abs(static_cast<number>(got) - want);
        double share = want == static_cast<number>(got) ? 0 : static_cast<double>(error / bound);
        if (std::isnan(share)) share = HUGE_VAL;
        auto& worst = entries_.try_emplace(quantity, -1, "").first->second;
        if (share > worst.first) worst = {share, where};
    }
    void check(const std::string& title) const {
        for (const auto& entry : entries_) {
            const std::string& quantity = entry.first;
            const auto& [share, where] = entry.second;
            const std::string text = title + ", " + quantity + ": " + std::to_string(share) + " of its bound at " + where;
            CHECK_MESSAGE(entry.second.first <= 1, text);
            if (std::getenv("CAR_SHOW")) MESSAGE(text);
        }
    }
};

/// Every term and gradient of every row, against the reference.
template <class T>
void compare(const device_memory::batch<T>& of, worst_shares& worst) {
    using term = car::term_of<T>;
    const auto tiny = 2 * static_cast<number>(types::limits<term>::least_normal);
    const bool highest = of.options.precision == car::precision::highest;
    const number u = types::u<term>, of_entropy = highest ? 1.001L : 4, of_divergence = highest ? 1.001L : 16;
    const number alpha = of.options.alpha, size = std::abs(alpha);
    for (std::size_t i = 0; i != of.rows; ++i) {
        const auto doubles = [&](const std::vector<T>& m) {
            std::vector<double> row;
            for (std::size_t k = 0; k != of.classes; ++k) row.push_back(static_cast<double>(m[i * of.stride + k]));
            return row;
        };
        const auto want = reference::answer_of(doubles(of.p), doubles(of.c), static_cast<std::size_t>(of.labels[i]), of.options.flow);
        const std::string& where = of.names[i];
        const number kl_bound = of_divergence * want.divergence;
        worst.add("cross-entropy", of.cross_entropy[i], want.cross_entropy, of_entropy * u * want.cross_entropy + tiny, where);
        worst.add("divergence", of.divergence[i], want.divergence, u * kl_bound + tiny, where);
        CHECK(of.divergence[i] >= 0);
        const number whole = want.cross_entropy + alpha * want.divergence;
        worst.add("loss", of.loss[i], whole, u * (of_entropy * want.cross_entropy + size * kl_bound + std::abs(whole)) + tiny, where);
        worst.add("log sum exp of p", of.lse_p[i], want.lse_p, 4 * u * (want.largest + std::abs(want.lse_p)) + tiny, where);
        worst.add("log sum exp of p - c", of.lse_y[i], want.lse_y, 4 * u * (want.largest + want.largest_c + std::abs(want.lse_y)) + tiny,
                  where);
        CHECK(of.predicted[i] == static_cast<std::int64_t>(want.predicted));
        if (!of.with_gradients) continue;
        const number g = of.upstream[i];
        for (std::size_t k = 0; k != of.classes; ++k) {
            const number ce = want.entropy_slope[k], to_p = g * (ce + alpha * want.slope_p[k]), to_c = g * alpha * want.slope_c[k];
            const auto stored = [&](number value) {
                return 2 * static_cast<number>(types::limits<T>::least_normal) + types::storage_error<T>(std::abs(value));
            };
            const number of_slope = highest ? 1.001L : 8, times = highest || of.options.flow == car::flow::stop_factual ? of_slope : 16;
            worst.add("gradient to p", static_cast<double>(of.grad_p[i * of.stride + k]), to_p,
                      u * (std::abs(g) * (of_slope * std::abs(ce) + size * times * want.scale_p[k]) + 2 * std::abs(to_p)) + stored(to_p),
                      where);
            worst.add("gradient to c", static_cast<double>(of.grad_c[i * of.stride + k]), to_c,
                      u * of_slope * std::abs(g) * size * want.scale_c[k] + stored(to_c), where);
        }
    }
}

template <class T>
worst_shares measure(const device_memory::batch<T>& rows, bool in_place) {
    worst_shares worst;
    device_memory::batch<T> done = rows;
    done.in_place = in_place;
    const auto status = done.run();
    INFO(status.reason);
    REQUIRE(status.ok());
    done.p = rows.p, done.c = rows.c;
    compare(done, worst);
    return worst;
}

/// Some of the cases, rows of this length.
template <class T>
worst_shares measure(std::size_t classes, car::flow flow, double alpha, std::size_t padding, std::size_t every, bool in_place,
                     car::precision precision = car::precision::accurate) {
    cases::generator random(classes * 7 + static_cast<std::size_t>(flow));
    device_memory::batch<T> rows(classes, padding);
    rows.options.alpha = alpha;
    rows.options.flow = flow;
    rows.options.precision = precision;
    rows.offset = padding;
    std::size_t count = 0;
    for (const auto f : cases::all_factual)
        for (const auto g : cases::all_counterfactual) {
            if (count++ % every != 0) continue;
            rows.add(cases::make<T>(classes, f, g, random), static_cast<car::term_of<T>>(count % 2 == 0 ? 1 : -3.5));
        }
    return measure(rows, in_place);
}

} // namespace

TEST_CASE("every term and gradient within its bound, float") {
    measure<float>(10, car::flow::full, 1, 0, 1, false).check("10 classes");
    measure<float>(1, car::flow::full, 1, 0, 1, false).check("1 class");
    measure<float>(37, car::flow::full, 0.5, 1, 1, true).check("37 classes in place");
    measure<float>(400, car::flow::full, 1, 0, 1, false).check("400 classes");
    measure<float>(500, car::flow::stop_target, -0.5, 4, 2, true).check("500 classes");
    measure<float>(1000, car::flow::stop_counterfactual, 2, 0, 3, false).check("1000 classes");
    measure<float>(1025, car::flow::stop_factual, 1, 0, 5, false).check("1025 classes");
    measure<float>(9000, car::flow::full, 1, 0, 11, true).check("9000 classes");
    measure<float>(60000, car::flow::full, 1, 0, 27, true).check("60000 classes");
    measure<float>(120001, car::flow::full, 1, 0, 40, true).check("120001 classes");
}

TEST_CASE_TEMPLATE("every term and gradient within its bound", T, double, car::bfloat16, car::float16) {
    measure<T>(7, car::flow::full, 1, 0, 1, true).check("7 classes");
    measure<T>(64, car::flow::full, 0.5, 0, 1, false).check("64 classes");
    measure<T>(99, car::flow::stop_target, 1, 1, 1, true).check("99 classes");
    measure<T>(400, car::flow::full, 1, 0, 2, false).check("400 classes");
    measure<T>(1001, car::flow::stop_factual, 1, 0, 7, true).check("1001 classes");
    measure<T>(9008, car::flow::full, 1, 0, 13, false).check("9008 classes");
    measure<T>(70000, car::flow::full, 1, 0, 40, true).check("70000 classes");
}

TEST_CASE_TEMPLATE("every term and gradient within a rounding where the highest precision is asked for", T, float, car::bfloat16,
                   car::float16) {
    constexpr auto highest = car::precision::highest;
    measure<T>(10, car::flow::full, 1, 0, 1, true, highest).check("10 classes");
    measure<T>(300, car::flow::stop_factual, -0.5, 1, 3, false, highest).check("300 classes");
    measure<T>(2000, car::flow::full, 2, 0, 11, true, highest).check("2000 classes");
}

TEST_CASE_TEMPLATE("additions that all lose the same part of a last place", T, float, double) {
    cases::generator random(8);
    for (const std::size_t classes : {9u, 65u, 400u, 9001u}) {
        CAPTURE(classes);
        device_memory::batch<T> rows(classes, 0);
        for (const double part : cases::lossy_parts)
            for (const double far : {0.0, 9.0, -40.0}) // the last is not measured as the host's registers measure
                for (const double top : {0.0, -6.930, -20.794})
                    if (classes < 1000 || (part > 2 && top < -10)) rows.add(cases::make_lossy<T>(classes, part, top, far, random), 1);
        measure(rows, false).check(types::limits<T>::name);
    }
}

TEST_CASE_TEMPLATE("what exp(p) has lost and exp(-c) brings back", T, float, double) {
    cases::generator random(10);
    const double lost = std::is_same_v<T, float> ? 41 : 207; // an exponential is, so far below the least normal number
    for (const std::size_t classes : {10u, 401u, 1100u}) {
        device_memory::batch<T> rows(classes, 0);
        for (const double peak : {14.0, 60.0})
            for (const double below : {2.0, lost - 3, lost + 4})
                for (const double far : {-29.5, -36.0, -59.0, -80.0, -250.0})
                    for (const double size : {0.0, 8.0}) rows.add(cases::make_lost<T>(classes, peak, below, far, size, random), 1);
        for (const auto flow : {car::flow::full, car::flow::stop_factual}) {
            rows.options.flow = flow;
            measure(rows, false).check(types::limits<T>::name);
        }
    }
}

TEST_CASE_TEMPLATE("distances of c whose own rounding shows", T, float, double) {
    cases::generator random(6);
    device_memory::batch<T> rows(4, 0);
    for (double distance = 14; distance < 80; distance += 0.25)
        for (const double gap : {distance - 1, distance + 8, 60.0}) {
            cases::row<T> row{{T(gap), T(0.25), T(-1), T(0)}, {T(1.3), T(1.3 - distance), T(1.3 + distance), T(1)}, random.below(4), {}};
            row.name = "gap " + std::to_string(gap) + ", distance " + std::to_string(distance);
            for (T& x : row.c) x += static_cast<T>(random.normal());
            rows.add(row, 1);
        }
    measure(rows, false).check(types::limits<T>::name);
}
