// SPDX-License-Identifier: Apache-2.0
// The loss on a device within its bounds, on every kernel: against the printed formulas in 113-bit arithmetic.
#include <car/cuda.hpp>

#include "support/device_memory.hpp"
#include "support/loss_answer.hpp"
#include "support/row_cases.hpp"

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
        auto& worst = entries_[quantity];
        if (share > worst.first || worst.second.empty()) worst = {share, where};
    }
    void check(const std::string& title) const {
        for (const auto& [quantity, worst] : entries_) {
            INFO(title << ", " << quantity << ": " << worst.first << " of its bound at " << worst.second);
            CHECK(worst.first <= 1);
            if (std::getenv("CAR_SHOW")) MESSAGE(title << ", " << quantity << ": " << worst.first << " at " << worst.second);
        }
    }
};

/// A batch of rows of one length on a device, and what the loss makes of it.
template <class T>
struct batch {
    using term = car::term_of<T>;

    std::size_t classes, stride, rows = 0;
    std::vector<T> p, c;
    std::vector<std::int64_t> labels;
    std::vector<std::string> names;
    car::loss_options options{.reduction = car::reduction::sum};
    std::vector<term> upstream;
    bool in_place = false, with_gradients = true;
    std::size_t offset = 0;

    std::vector<T> grad_p, grad_c;
    std::vector<term> loss, cross_entropy, divergence, lse_p, lse_y;
    std::vector<std::int64_t> predicted;
    car::loss_result result;

    explicit batch(std::size_t columns, std::size_t padding = 0) : classes(columns), stride(columns + padding) {}

    void add(const cases::row<T>& row, term factor = 1) {
        p.resize((rows + 1) * stride, static_cast<T>(NAN));
        c.resize((rows + 1) * stride, static_cast<T>(NAN));
        std::copy(row.p.begin(), row.p.end(), p.begin() + static_cast<std::ptrdiff_t>(rows * stride));
        std::copy(row.c.begin(), row.c.end(), c.begin() + static_cast<std::ptrdiff_t>(rows * stride));
        labels.push_back(static_cast<std::int64_t>(row.label));
        names.push_back(row.name);
        upstream.push_back(factor);
        ++rows;
    }

    car::launch_status run() {
        const device_memory::stream stream;
        using device_memory::array;
        const array<T> device_p(p, stream, offset), device_c(c, stream, offset);
        const array<T> to_p(std::vector<T>(p.size(), T(77.0)), stream, offset), to_c(std::vector<T>(c.size(), T(77.0)), stream, offset);
        const array<std::int64_t> device_labels(labels, stream), top(rows, stream);
        const array<term> factors(upstream, stream), l(rows, stream), ce(rows, stream), kl(rows, stream), lp(rows, stream),
            ly(rows, stream);
        const array<car::loss_result> total(1, stream);
        const array<std::byte> workspace(static_cast<std::size_t>(car::loss_workspace(static_cast<std::ptrdiff_t>(rows))), stream);
        const auto& out_p = in_place ? device_p : to_p;
        const auto& out_c = in_place ? device_c : to_c;
        car::device_loss_arrays<T> arrays{.row_loss = l.view(),
                                          .row_cross_entropy = ce.view(),
                                          .row_divergence = kl.view(),
                                          .lse_p = lp.view(),
                                          .lse_y = ly.view(),
                                          .predicted = top.view(),
                                          .result = total.view(),
                                          .workspace = workspace.view(),
                                          .upstream = factors.view()};
        if (with_gradients) arrays.grad_p = out_p.view(rows, classes, stride), arrays.grad_c = out_c.view(rows, classes, stride);
        const car::launch_status status = car::loss(car::cuda.on(stream), device_p.view(rows, classes, stride),
                                                    device_c.view(rows, classes, stride), device_labels.view(), options, arrays);
        stream.wait();
        grad_p = out_p.values(), grad_c = out_c.values();
        loss = l.values(), cross_entropy = ce.values(), divergence = kl.values(), lse_p = lp.values(), lse_y = ly.values();
        predicted = top.values();
        result = total.values()[0];
        return status;
    }

    /// Every term and gradient of every row, against the reference.
    void compare(worst_shares& worst) const {
        const auto tiny = 2 * static_cast<number>(types::limits<term>::least_normal);
        const number u = types::u<term>, of_entropy = 4;
        const number alpha = options.alpha, size = std::abs(alpha);
        for (std::size_t i = 0; i != rows; ++i) {
            const auto doubles = [&](const std::vector<T>& m) {
                std::vector<double> row;
                for (std::size_t k = 0; k != classes; ++k) row.push_back(static_cast<double>(m[i * stride + k]));
                return row;
            };
            const auto want = reference::answer_of(doubles(p), doubles(c), static_cast<std::size_t>(labels[i]), options.flow);
            const std::string& where = names[i];
            const number kl_bound = 16 * want.divergence;
            worst.add("cross-entropy", cross_entropy[i], want.cross_entropy, of_entropy * u * want.cross_entropy + tiny, where);
            worst.add("divergence", divergence[i], want.divergence, u * kl_bound + tiny, where);
            CHECK(divergence[i] >= 0);
            const number whole = want.cross_entropy + alpha * want.divergence;
            worst.add("loss", loss[i], whole, u * (of_entropy * want.cross_entropy + size * kl_bound + std::abs(whole)) + tiny, where);
            worst.add("log sum exp of p", lse_p[i], want.lse_p, 4 * u * (want.largest + std::abs(want.lse_p)) + tiny, where);
            worst.add("log sum exp of p - c", lse_y[i], want.lse_y, 4 * u * (want.largest + want.largest_c + std::abs(want.lse_y)) + tiny,
                      where);
            CHECK(predicted[i] == static_cast<std::int64_t>(want.predicted));
            if (!with_gradients) continue;
            const number g = upstream[i];
            for (std::size_t k = 0; k != classes; ++k) {
                const number ce = want.entropy_slope[k], to_p = g * (ce + alpha * want.slope_p[k]), to_c = g * alpha * want.slope_c[k];
                const auto stored = [&](number value) {
                    return 2 * static_cast<number>(types::limits<T>::least_normal) + types::storage_error<T>(std::abs(value));
                };
                const number times = options.flow == car::flow::stop_factual ? 8 : 16;
                worst.add("gradient to p", static_cast<double>(grad_p[i * stride + k]), to_p,
                          u * (std::abs(g) * (8 * std::abs(ce) + size * times * want.scale_p[k]) + 2 * std::abs(to_p)) + stored(to_p),
                          where);
                worst.add("gradient to c", static_cast<double>(grad_c[i * stride + k]), to_c,
                          u * 8 * std::abs(g) * size * want.scale_c[k] + stored(to_c), where);
            }
        }
    }
};

/// Some of the cases, rows of this length.
template <class T>
worst_shares measure(std::size_t classes, car::flow flow, double alpha, std::size_t padding, std::size_t every, bool in_place) {
    cases::generator random(classes * 7 + static_cast<std::size_t>(flow));
    batch<T> rows(classes, padding);
    rows.options.alpha = alpha;
    rows.options.flow = flow;
    rows.offset = padding;
    std::size_t count = 0;
    for (const auto f : cases::all_factual)
        for (const auto g : cases::all_counterfactual) {
            const auto row = cases::make<T>(classes, f, g, random);
            if (count++ % every == 0) rows.add(row, static_cast<typename batch<T>::term>(count % 2 == 0 ? 1 : -3.5));
        }
    worst_shares worst;
    batch<T> done = rows;
    done.in_place = in_place;
    const auto status = done.run();
    INFO(status.reason);
    REQUIRE(status.ok());
    done.p = rows.p, done.c = rows.c;
    done.compare(worst);
    return worst;
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
