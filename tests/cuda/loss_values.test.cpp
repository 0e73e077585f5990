// SPDX-License-Identifier: Apache-2.0
// What the loss on a device makes of options, special values and faults, exactly; and that no row depends on anything but itself.
#include <car/backend/cuda/plan.hpp>
#include <car/cuda.hpp>

#include "support/device_batch.hpp"
#include "support/loss_answer.hpp"
#include "support/message.hpp"
#include "support/ptx/machine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

namespace {

using number = long double;
constexpr double inf = HUGE_VAL;

/// Rows of every kind of kernel: in one thread, in a warp's parts, in blocks.
template <class T>
device_memory::batch<T> some_rows(std::size_t classes, std::size_t count, std::size_t padding = 0) {
    cases::generator random(classes + count);
    device_memory::batch<T> rows(classes, padding);
    for (std::size_t i = 0; i != count; ++i)
        rows.add(cases::make<T>(classes, cases::factual::normal, cases::counterfactual::normal, random));
    return rows;
}

template <class T>
void run(device_memory::batch<T>& rows) {
    const car::launch_status status = rows.run();
    REQUIRE_MESSAGE(status.ok(), std::string(status.reason));
}

template <class T>
struct row_of {
    device_memory::batch<T>& all;
    std::size_t i;

    T& p(std::size_t k) const { return all.p[i * all.stride + k]; }
    T& c(std::size_t k) const { return all.c[i * all.stride + k]; }
    double dp(std::size_t k) const { return static_cast<double>(all.grad_p[i * all.stride + k]); }
    double dc(std::size_t k) const { return static_cast<double>(all.grad_c[i * all.stride + k]); }
    bool slopes_are(double value) const {
        for (std::size_t k = 0; k != all.classes; ++k)
            for (const double got : {dp(k), dc(k)})
                if (!(std::isnan(value) ? std::isnan(got) : got == value && !std::signbit(got))) return false;
        return true;
    }
    bool is_finite() const {
        for (std::size_t k = 0; k != all.classes; ++k)
            if (!std::isfinite(dp(k)) || !std::isfinite(dc(k))) return false;
        return std::isfinite(all.loss[i]);
    }
};

template <class T>
bool same_bits(const std::vector<T>& one, const std::vector<T>& other, std::size_t from, std::size_t count) {
    return std::memcmp(one.data() + from, other.data() + from, count * sizeof(T)) == 0;
}

template <class T>
bool same_rows(const device_memory::batch<T>& one, const device_memory::batch<T>& other, std::size_t except) {
    for (std::size_t i = 0; i != one.rows; ++i)
        if (i != except && !(same_bits(one.loss, other.loss, i, 1) && same_bits(one.divergence, other.divergence, i, 1) &&
                             same_bits(one.grad_p, other.grad_p, i * one.stride, one.classes) &&
                             same_bits(one.grad_c, other.grad_c, i * one.stride, one.classes)))
            return false;
    return true;
}

} // namespace

TEST_CASE_TEMPLATE("weights, reductions and the terms of the result", T, float, double) {
    using term = car::term_of<T>;
    auto rows = some_rows<T>(11, 9);
    rows.labels[3] = -100;
    rows.weight.assign(11, term(1));
    for (std::size_t k = 0; k != 11; ++k) rows.weight[k] = static_cast<term>(0.5 + 0.25 * static_cast<double>(k));
    rows.sample_weight.assign(9, term(1));
    rows.sample_weight[4] = 0, rows.sample_weight[5] = 3;
    rows.row_mask.assign(9, 1);
    rows.row_mask[6] = 0;
    rows.options.alpha = 0.5;
    rows.options.z_weight = 0.125;
    const number tolerance = 40 * static_cast<number>(types::u<term>);

    for (const auto reduction : {car::reduction::mean, car::reduction::sum, car::reduction::none})
        for (const bool given : {false, true}) {
            rows.options.reduction = reduction;
            rows.options.divisor = given ? std::optional<double>(7) : std::nullopt;
            run(rows);
            number weights = 0, ce = 0, kl = 0, z = 0;
            std::int64_t count = 0, correct = 0;
            std::vector<number> weight(9);
            for (std::size_t i = 0; i != 9; ++i) {
                if (i == 3 || i == 4 || i == 6) continue;
                weight[i] = static_cast<number>(rows.sample_weight[i]) * rows.weight[static_cast<std::size_t>(rows.labels[i])];
                weights += weight[i];
            }
            const number by = reduction != car::reduction::mean ? 1 : given ? 7 : weights;
            for (std::size_t i = 0; i != 9; ++i) {
                const row_of<T> row{rows, i};
                if (weight[i] == 0) {
                    CHECK(rows.loss[i] == 0);
                    CHECK(row.slopes_are(0));
                    continue;
                }
                std::vector<double> p, c;
                for (std::size_t k = 0; k != 11; ++k)
                    p.push_back(static_cast<double>(row.p(k))), c.push_back(static_cast<double>(row.c(k)));
                const auto want = reference::answer_of(p, c, static_cast<std::size_t>(rows.labels[i]), car::flow::full);
                ++count;
                correct += static_cast<std::int64_t>(want.predicted) == rows.labels[i];
                ce += weight[i] * want.cross_entropy, kl += weight[i] * want.divergence, z += weight[i] * want.lse_p * want.lse_p;
                const number loss = weight[i] * (want.cross_entropy + want.divergence / 2 + want.lse_p * want.lse_p / 8);
                CHECK(std::abs(rows.loss[i] - loss) <= tolerance * loss);
                number largest = 0;
                for (std::size_t k = 0; k != 11; ++k) {
                    number share = 0;
                    for (std::size_t j = 0; j != 11; ++j) share += expl(static_cast<number>(p[j]) - p[k]);
                    const number slope = want.entropy_slope[k] + want.slope_p[k] / 2 + want.lse_p / 4 / share;
                    largest = std::max(largest, std::abs(row.dp(k) - weight[i] / by * slope));
                    largest = std::max(largest, std::abs(row.dc(k) - weight[i] / by * want.slope_c[k] / 2));
                }
                CHECK(largest <= tolerance * weight[i] / by * (1 + std::abs(want.lse_p) + want.divergence));
            }
            CHECK(rows.result.count == count);
            CHECK(rows.result.correct == correct);
            CHECK(std::abs(rows.result.weight - weights) <= 1e-14L * weights);
            CHECK(rows.result.status.ok());
            if (reduction == car::reduction::none) {
                CHECK(std::isnan(rows.result.value));
                continue;
            }
            CHECK(std::abs(rows.result.cross_entropy - ce / by) <= tolerance * ce / by);
            CHECK(std::abs(rows.result.divergence - kl / by) <= tolerance * kl / by);
            CHECK(std::abs(rows.result.z_loss - z / by) <= tolerance * z / by);
            CHECK(std::abs(rows.result.value - (ce + kl / 2 + z / 8) / by) <= tolerance * (ce + kl + z) / by);
        }
}

namespace {

/// What a device makes of a combination of options.
template <class T>
combinations::outputs<T> call(const combinations::problem<T>& given, const combinations::combination& set) {
    using term = car::term_of<T>;
    constexpr std::size_t rows = combinations::rows, classes = combinations::classes;
    const auto vector = [](const auto& values) { return std::vector(values.begin(), values.end()); };
    const device_memory::stream stream;
    const device_memory::array<T> p(vector(given.p), stream), c(vector(given.c), stream), grad_p(vector(given.old_p), stream),
        grad_c(vector(given.old_c), stream);
    const device_memory::array<int> labels(vector(given.labels), stream);
    const device_memory::array<term> weight(vector(given.weight), stream), sample_weight(vector(given.sample_weight), stream),
        upstream(vector(given.upstream), stream), loss(rows, stream), ce(rows, stream), kl(rows, stream), lse_p(rows, stream),
        lse_y(rows, stream);
    const device_memory::array<std::uint8_t> row_mask({given.row_mask.begin(), given.row_mask.end()}, stream);
    const device_memory::array<std::int64_t> predicted(rows, stream);
    const device_memory::array<car::loss_result> result(1, stream);
    const device_memory::array<std::byte> workspace(static_cast<std::size_t>(car::loss_workspace(rows)), stream);
    car::device_loss_arrays<T> arrays{.grad_p = grad_p.view(rows, classes, classes),
                                      .grad_c = grad_c.view(rows, classes, classes),
                                      .row_loss = loss.view(),
                                      .row_cross_entropy = ce.view(),
                                      .row_divergence = kl.view(),
                                      .lse_p = lse_p.view(),
                                      .lse_y = lse_y.view(),
                                      .predicted = predicted.view(),
                                      .result = result.view(),
                                      .workspace = workspace.view()};
    if (set.upstream) arrays.upstream = upstream.view();
    if (set.weights) arrays.weight = weight.view(), arrays.sample_weight = sample_weight.view();
    if (set.masks) arrays.row_mask = car::vector_view<std::uint8_t, car::device>(row_mask.view());
    const car::launch_status status =
        car::loss(car::cuda.on(stream), p.view(rows, classes, classes), c.view(rows, classes, classes), labels.view(), set.options, arrays);
    REQUIRE_MESSAGE(status.ok(), std::string(status.reason));
    stream.wait();
    combinations::outputs<T> got(given);
    const auto take = [](auto& to, const auto& from) {
        const auto values = from.values();
        std::copy(values.begin(), values.end(), to.begin());
    };
    take(got.grad_p, grad_p), take(got.grad_c, grad_c);
    take(got.loss, loss), take(got.cross_entropy, ce), take(got.divergence, kl), take(got.lse_p, lse_p), take(got.lse_y, lse_y);
    take(got.predicted, predicted);
    got.result = result.values()[0];
    return got;
}

} // namespace

TEST_CASE_TEMPLATE("every combination of the options", T, float, double, car::bfloat16, car::float16) {
    std::size_t called = 0;
    combinations::for_each_combination(types::exhaustive() ? 7 : 997, [&](const combinations::combination& set) {
        if (set.soft || (set.options.precision == car::precision::highest && std::is_same_v<T, double>)) return; // no kernel takes these
        combinations::problem<T> given = combinations::problem_for<T>(set);
        given.class_mask.fill(1); // which is the host's alone
        const std::string faults = reference::faults_of(given, set, call(given, set));
        ++called;
        INFO(combinations::text_of(set));
        CHECK(faults.empty());
        if (!faults.empty()) MESSAGE(faults);
    });
    CHECK(called >= 20);
}

TEST_CASE_TEMPLATE("labels and masks of any type of integer", Int, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t,
                   std::uint32_t, std::int64_t, std::uint64_t) {
    auto rows = some_rows<float>(6, 4);
    rows.options.reduction = car::reduction::none;
    rows.options.ignore_index = std::is_signed_v<Int> ? -100 : 200;
    run(rows);
    const device_memory::stream stream;
    std::vector<Int> strided(8, Int(1));
    for (std::size_t i = 0; i != 4; ++i) strided[2 * i] = static_cast<Int>(rows.labels[i]);
    strided[2] = static_cast<Int>(rows.options.ignore_index);
    const device_memory::array<float> p(rows.p, stream), c(rows.c, stream), loss(4, stream);
    const device_memory::array<Int> labels(strided, stream), mask(std::vector<Int>{1, 1, 0, static_cast<Int>(100)}, stream);
    car::device_loss_arrays<float> arrays;
    arrays.row_loss = loss.view();
    arrays.row_mask = mask.view();
    CHECK(car::loss(car::cuda.on(stream), p.view(4, 6, 6), c.view(4, 6, 6), car::vector_view<Int, car::device>(labels.data(), 4, 2),
                    rows.options, arrays)
              .ok());
    const std::vector<float> got = loss.values();
    CHECK(got == std::vector<float>{rows.loss[0], 0, 0, rows.loss[3]});
}

TEST_CASE("many rows: parts of the result add up") {
    auto rows = some_rows<float>(3, 9001);
    rows.with_gradients = false;
    rows.options.reduction = car::reduction::mean;
    rows.labels[8000] = -100;
    run(rows);
    number ce = 0, kl = 0;
    for (std::size_t i = 0; i != rows.rows; ++i) ce += rows.cross_entropy[i], kl += rows.divergence[i];
    CHECK(rows.result.count == 9000);
    CHECK(std::abs(rows.result.cross_entropy - ce / 9000) <= 1e-7L * ce / 9000);
    CHECK(std::abs(rows.result.divergence - kl / 9000) <= 1e-7L * kl / 9000);
}

TEST_CASE("no row that counts") {
    auto rows = some_rows<float>(5, 2);
    rows.labels = {-100, -100};
    rows.options.reduction = car::reduction::mean;
    run(rows);
    CHECK(rows.result.value == 0);
    CHECK(rows.result.count == 0);
    CHECK(row_of<float>{rows, 0}.slopes_are(0));
    rows.options.empty = car::empty::nan;
    run(rows);
    CHECK(std::isnan(rows.result.value));
}

TEST_CASE_TEMPLATE("special values stay in their row", T, float, double, car::bfloat16, car::float16) {
    using car::fault;
    const T nothing = static_cast<T>(NAN), above = static_cast<T>(inf), below = static_cast<T>(-inf);
    for (const std::size_t classes : {5u, 40u, 600u}) {
        CAPTURE(classes);
        auto clean = some_rows<T>(classes, 6);
        clean.labels[2] = 1;
        run(clean);
        // No SUBCASE: doctest comes back for the next one without end where a launch fails before it is reached.
        const auto with = [&](auto change) {
            auto rows = clean;
            change(row_of<T>{rows, 2});
            run(rows);
            CHECK(same_rows(rows, clean, 2));
            return rows;
        };
        const auto reported = [](const auto& rows, fault what) {
            return rows.result.status == car::row_status{what, what == fault::none ? -1 : 2, what == fault::none ? 0 : 1};
        };
        {
            INFO("NaN and +inf in p");
            for (const T bad : {nothing, above}) {
                auto rows = with([&](auto row) { row.p(3) = bad; });
                CHECK(std::isnan(rows.loss[2]));
                CHECK(row_of<T>{rows, 2}.slopes_are(NAN));
                CHECK(rows.predicted[2] == -1);
                CHECK(reported(rows, fault::not_finite));
            }
        }
        {
            INFO("ignored, whatever is there");
            auto rows = with([&](auto row) {
                row.all.labels[2] = -100;
                row.p(3) = nothing;
                row.c(1) = nothing;
            });
            CHECK(rows.loss[2] == 0);
            CHECK(row_of<T>{rows, 2}.slopes_are(0));
            CHECK(rows.result.count == 5);
            CHECK(reported(rows, fault::none));
        }
        {
            INFO("label out of range");
            for (const std::int64_t label : {std::int64_t{-1}, static_cast<std::int64_t>(classes), std::int64_t{1} << 40}) {
                auto rows = with([&](auto row) {
                    row.all.labels[2] = label;
                    row.all.weight.assign(classes, 1); // which is not read there
                });
                CHECK(std::isnan(rows.loss[2]));
                CHECK(row_of<T>{rows, 2}.slopes_are(0));
                CHECK(reported(rows, fault::bad_label));
            }
        }
        {
            INFO("a whole row masked");
            auto rows = with([&](auto row) {
                for (std::size_t k = 0; k != classes; ++k) row.p(k) = below;
            });
            CHECK(std::isnan(rows.loss[2]));
            CHECK(row_of<T>{rows, 2}.slopes_are(0));
            CHECK(reported(rows, fault::masked_row));
        }
        {
            INFO("a masked class: its c is not read");
            for (const T c : {nothing, above, below}) {
                auto rows = with([&](auto row) {
                    row.p(3) = below;
                    row.c(3) = c;
                    row.all.upstream[2] = -2; // 0, not -0
                });
                const row_of<T> row{rows, 2};
                CHECK(row.is_finite());
                CHECK(row.dp(3) == 0);
                CHECK(!std::signbit(row.dp(3)));
                CHECK(row.dc(3) == 0);
                CHECK(!std::signbit(row.dc(3)));
                CHECK(reported(rows, fault::none));
            }
        }
        {
            INFO("the label masked");
            auto rows = with([&](auto row) { row.p(1) = below; });
            const row_of<T> row{rows, 2};
            CHECK(rows.loss[2] == inf);
            CHECK(row.dp(1) == -1);
            CHECK(row.dc(1) == 0);
            CHECK(std::isfinite(row.dp(0)));
            CHECK(rows.result.value == inf);
        }
        {
            INFO("c infinite or NaN where it counts");
            for (const T c : {above, below, nothing}) {
                auto rows = with([&](auto row) { row.c(4) = c; });
                const row_of<T> row{rows, 2};
                // By a kernel that most rows do not need: each is within 4 u.
                CHECK(std::abs(rows.cross_entropy[2] - clean.cross_entropy[2]) <=
                      8 * types::u<car::term_of<T>> * std::abs(clean.cross_entropy[2]));
                CHECK(std::isnan(row.dp(0)));
                CHECK(std::isnan(row.dc(0)));
                CHECK((std::isnan(static_cast<double>(c)) ? std::isnan(rows.divergence[2]) : rows.divergence[2] == inf));
                CHECK(reported(rows, std::isnan(static_cast<double>(c)) ? fault::not_finite : fault::none));
            }
            auto rows = with([&](auto row) {
                for (std::size_t k = 0; k != classes; ++k) row.c(k) = above;
            });
            CHECK(std::isnan(rows.divergence[2]));
            CHECK(reported(rows, fault::not_finite));
        }
        {
            INFO("constant c");
            auto rows = with([&](auto row) {
                for (std::size_t k = 0; k != classes; ++k) row.c(k) = static_cast<T>(7.25);
            });
            CHECK(rows.divergence[2] == 0);
            for (std::size_t k = 0; k != classes; ++k) CHECK(row_of<T>{rows, 2}.dc(k) == 0);
        }
        {
            INFO("the first of the largest");
            auto rows = with([&](auto row) {
                for (std::size_t k = 0; k != classes; ++k) row.p(k) = static_cast<T>(k < 2 ? 0.5 : 2.0);
            });
            CHECK(rows.predicted[2] == 2);
            rows = with([&](auto row) { // all below 0, where the order of bits is the other one
                for (std::size_t k = 0; k != classes; ++k) row.p(k) = static_cast<T>(k + 1 == classes ? -1 : -2);
            });
            CHECK(rows.predicted[2] == static_cast<std::int64_t>(classes) - 1);
        }
        {
            INFO("alpha 0: c is not read");
            auto rows = clean;
            rows.options.alpha = 0;
            for (T& c : rows.c) c = nothing;
            run(rows);
            CHECK(rows.loss[2] == rows.cross_entropy[2]);
            CHECK(rows.divergence[2] == 0);
            CHECK(row_of<T>{rows, 2}.is_finite());
        }
        {
            INFO("the largest numbers");
            const double most = std::min(types::limits<T>::most, 3e38);
            auto rows = with([&](auto row) {
                row.p(0) = static_cast<T>(most);
                row.p(1) = static_cast<T>(-most);
                row.c(0) = static_cast<T>(most);
                row.c(2) = static_cast<T>(-most);
            });
            CHECK(rows.loss[2] > 60000);
            CHECK(std::isfinite(rows.result.cross_entropy));
            for (std::size_t k = 0; k != classes; ++k) CHECK(!std::isnan(row_of<T>{rows, 2}.dp(k)));
        }
    }
}

TEST_CASE("a row has the same bits in any batch, place and order, whatever ex2 and lg2 give") {
    for (const std::size_t classes : {7u, 100u, 700u, 9000u}) {
        CAPTURE(classes);
        const std::size_t count = classes > 1000 ? 3 : 37;
        auto rows = some_rows<float>(classes, count);
        for (std::size_t k = 0; k != classes; ++k) rows.c[k] *= 40; // a wide row beside others
        run(rows);
        for (const std::uint64_t seed : {1u, 2u}) {
            auto other = rows;
            ptx::shuffle_order(seed);
            ptx::perturb(seed == 1 ? 0x1p-22 : 0);
            run(other);
            ptx::shuffle_order(0);
            ptx::perturb(0);
            CHECK(same_rows(other, rows, count));
            CHECK(std::memcmp(&other.result, &rows.result, sizeof other.result) == 0);
        }
        device_memory::batch<float> alone(classes);
        for (const std::size_t i : {std::size_t{1}, count - 1}) {
            alone = device_memory::batch<float>(classes);
            alone.p.assign(rows.p.begin() + static_cast<std::ptrdiff_t>(i * classes),
                           rows.p.begin() + static_cast<std::ptrdiff_t>((i + 1) * classes));
            alone.c.assign(rows.c.begin() + static_cast<std::ptrdiff_t>(i * classes),
                           rows.c.begin() + static_cast<std::ptrdiff_t>((i + 1) * classes));
            alone.labels = {rows.labels[i]};
            alone.upstream = {1};
            alone.rows = 1;
            run(alone);
            CHECK(std::memcmp(alone.grad_p.data(), rows.grad_p.data() + i * classes, classes * sizeof(float)) == 0);
            CHECK(std::memcmp(alone.grad_c.data(), rows.grad_c.data() + i * classes, classes * sizeof(float)) == 0);
            CHECK(alone.loss[0] == rows.loss[i]);
        }
    }
}

TEST_CASE("the slope of a sure label is minus what the others have") {
    for (const std::size_t classes : {2u, 40u, 400u, 4000u}) {
        auto rows = some_rows<float>(classes, 1);
        const row_of<float> row{rows, 0};
        for (std::size_t k = 0; k != classes; ++k) row.p(k) = k == 0 ? 60.0f : 0.0f, row.c(k) = 0;
        rows.labels[0] = 0;
        run(rows);
        const number others = static_cast<number>(classes - 1) * std::exp(number(-60)), want = -others / (1 + others);
        CAPTURE(classes);
        CHECK(std::abs(static_cast<number>(row.dp(0)) - want) <= 8 * types::u<float> * -want);
    }
}

TEST_CASE("differences of logits whose power of two is no longer exact in float") {
    for (const std::size_t classes : {2u, 40u, 400u, 4000u}) {
        auto rows = some_rows<float>(classes, 1);
        const row_of<float> row{rows, 0};
        for (std::size_t k = 0; k != classes; ++k) row.p(k) = k < 2 ? 3e7f - 2 * static_cast<float>(k) : -1e30f;
        rows.labels[0] = 0;
        run(rows);
        const number want = std::log1p(std::exp(number(-2)));
        CAPTURE(classes);
        CHECK(std::abs(static_cast<number>(rows.cross_entropy[0]) - want) <= 4 * types::u<float> * want);
    }
}

TEST_CASE("each element is read once and written once, whatever the c of a masked class is") {
    if (!ptx::is_stand_in()) return;
    for (const std::size_t classes : {512u, 1000u, 4096u, 20000u, 60000u}) {
        auto rows = some_rows<float>(classes, classes > 10000 ? 1 : 8);
        for (std::size_t i = 0; i != rows.rows; ++i) {
            const row_of<float> row{rows, i};
            const std::size_t masked = (static_cast<std::size_t>(rows.labels[i]) + 1) % classes;
            row.p(masked) = -std::numeric_limits<float>::infinity();
            row.c(masked) = std::numeric_limits<float>::quiet_NaN();
        }
        ptx::reset_counters();
        run(rows);
        const auto counted = ptx::counters();
        const auto how = car::kernel::device_row::choose(4, static_cast<std::ptrdiff_t>(classes), true, true, {9, 227 * 1024});
        const auto count = static_cast<double>(rows.rows), elements = count * static_cast<double>(classes);
        // What all threads of a row read alike is one access of each warp: the label and the logits there and at the maximum, the upstream.
        const double alike = 32 * how.group * how.cluster * count;
        CAPTURE(classes);
        CHECK(static_cast<double>(counted.loaded("global")) <= 1.02 * 8 * elements + alike);
        CHECK(static_cast<double>(counted.stored("global")) <= 1.02 * 8 * elements + 128 * count);
        if (std::getenv("CAR_SHOW"))
            MESSAGE(classes << ": " << static_cast<double>(counted.instructions) / elements << " instructions, "
                            << static_cast<double>(counted.loaded("global")) / elements << " bytes read, "
                            << static_cast<double>(counted.stored("global")) / elements << " written, ex2 " << counted.of("ex2"));
    }
}

TEST_CASE("what is refused") {
    const device_memory::stream stream;
    const auto on = car::cuda.on(stream);
    const device_memory::array<float> memory(64, stream), other(64, stream), result(64, stream);
    const device_memory::array<int> labels(4, stream);
    const auto p = memory.view(4, 5, 5), c = other.view(4, 5, 5);
    const auto says = [&](auto call) { return message_of([&] { (void)call().ok(); }); };
    CHECK(says([&] { return car::loss(on, p, other.view(4, 6, 6), labels.view()); }) == "car::loss: c has shape 4 x 6, expected 4 x 5");
    CHECK(says([&] { return car::loss(on, p, c, labels.view(), {.alpha = NAN}); }) == "car::loss: alpha is nan, expected a finite number");
    CHECK(says([&] { return car::loss(on, p, c, labels.view(), {}, {.grad_p = other.view(4, 5, 5)}); }) == "car::loss: grad_p overlaps c");
    CHECK(says([&] { return car::loss(on, p, c, device_memory::array<int>(3, stream).view()); }) ==
          "car::loss: labels has shape 3 x 1, expected 4 x 1");
    CHECK(says([&] { return car::softmax(on, p, other.view(4, 4, 4)); }) == "car::softmax: y has shape 4 x 4, expected 4 x 5");

    CHECK(says([&] {
              return car::loss(on, p, c, labels.view(), {.gradients = car::gradients::accumulate}, {.grad_p = memory.view(4, 5, 5)});
          }) == "car::loss: grad_p overlaps p");

    const auto status = [&](const car::loss_options& options) { return car::loss(on, p, c, labels.view(), options).launch; };
    const auto no = car::launch::not_supported;
    const auto sum = car::reduction::sum;
    CHECK(status({.reduction = sum}) == car::launch::done);
    CHECK(status({.reduction = sum, .precision = car::precision::highest}) == car::launch::done);
    CHECK(status({.reduction = sum, .empty = car::empty::error}) == no);
    CHECK(status({.reduction = car::reduction::mean}) == car::launch::no_workspace);
    const device_memory::array<double> doubles(20, stream);
    CHECK(
        car::loss(on, doubles.view(4, 5, 5), doubles.view(4, 5, 5), labels.view(), {.reduction = sum, .precision = car::precision::highest})
            .launch == no);
    CHECK(
        car::loss(on, car::matrix_view<const float, car::device>(memory.data(), 4, 5, 1, 4), c, labels.view(), {.reduction = sum}).launch ==
        no);
    stream.wait();
}

TEST_CASE("a call is part of a graph") {
    cudaStream_t recorded;
    device_memory::check(cudaStreamCreateWithFlags(&recorded, cudaStreamNonBlocking));
    {
        const std::vector<float> logits{1, 2, 3, 4, 5, 6}, slopes(6);
        const device_memory::array<float> p(logits, recorded), c(slopes, recorded), grad(6, recorded);
        const device_memory::array<std::int64_t> labels(std::vector<std::int64_t>{0, 2}, recorded);
        const device_memory::array<car::loss_result> result(1, recorded);
        const device_memory::array<std::byte> workspace(static_cast<std::size_t>(car::loss_workspace(2)), recorded);
        cudaGraph_t graph;
        cudaGraphExec_t program;
        device_memory::check(cudaStreamBeginCapture(recorded, cudaStreamCaptureModeGlobal));
        const auto status = car::loss(car::cuda.on(recorded), p.view(2, 3, 3), c.view(2, 3, 3), labels.view(), {},
                                      {.grad_p = grad.view(2, 3, 3), .result = result.view(), .workspace = workspace.view()});
        device_memory::check(cudaStreamEndCapture(recorded, &graph));
        CHECK(status.ok());
        device_memory::check(cudaGraphInstantiate(&program, graph, 0));
        device_memory::check(cudaGraphLaunch(program, recorded));
        device_memory::check(cudaGraphDestroy(graph));
        CHECK(result.values()[0].value == doctest::Approx((2.4076059644 + 0.4076059644) / 2));
        CHECK(result.values()[0].count == 2);
        device_memory::check(cudaGraphExecDestroy(program));
    }
    device_memory::check(cudaStreamSynchronize(recorded));
    device_memory::check(cudaStreamDestroy(recorded));
}
