// SPDX-License-Identifier: Apache-2.0
// NaN, infinities, masked classes, ignored rows and extreme numbers: what each op makes of them, exactly, in every type and precision.
#include <car/corrected.hpp>
#include <car/effect.hpp>
#include <car/eigen.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include "support/message.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace {

#define EVERY_TYPE float, double, car::bfloat16, car::float16

// What runs a call is chosen when a test case runs, so that its text is compiled once for each type.
enum class backend { scalar, eigen, simd };

/// `call(car::scalar)`, or on another backend.
template <class Call>
auto with(backend on, const Call& call) {
    if (on == backend::eigen) return call(car::eigen);
    if (on == backend::simd) return call(car::simd);
    return call(car::scalar);
}

struct mode {
    const char* name;
    backend on;
    car::precision precision = car::precision::accurate;
};

constexpr mode modes[] = {{"scalar, fast", backend::scalar, car::precision::fast},       {"scalar, accurate", backend::scalar},
                          {"scalar, highest", backend::scalar, car::precision::highest}, {"eigen, accurate", backend::eigen},
                          {"simd, fast", backend::simd, car::precision::fast},           {"simd, accurate", backend::simd}};
constexpr mode backends[] = {{"scalar", backend::scalar}, {"eigen", backend::eigen}, {"simd", backend::simd}};

/// Which of the modes this run of a test case is for: doctest runs the case again for each, and names it where a check fails.
template <std::size_t N>
const mode& each_of(const mode (&choices)[N]) {
    const mode* chosen = choices;
    for (const mode& choice : choices) {
        SUBCASE(choice.name) { chosen = &choice; }
    }
    return *chosen;
}

constexpr double inf = HUGE_VAL;
const double no_number = std::nan("");

template <class T>
bool same_bits(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}
template <class T>
double number(T value) {
    return static_cast<double>(value);
}

/// A batch of four rows, and everything that the loss and its second order make of it.
template <class T>
struct batch {
    using term = car::term_of<T>;
    static constexpr std::ptrdiff_t rows = 4;
    static constexpr double untouched = 1232; // a number of every type

    mode how;
    std::ptrdiff_t classes;
    std::size_t size = static_cast<std::size_t>(rows * classes);
    std::vector<T> p, c, along, grad_p, grad_c, turn_p, turn_c;
    std::vector<term> loss, cross_entropy, divergence, lse_p, lse_y;
    std::vector<std::int64_t> predicted;
    std::vector<int> labels{0, 3, 4, 2};
    std::vector<term> soft, upstream, weight, sample_weight;
    std::vector<char> row_mask, class_mask;
    car::loss_result result;
    car::row_status turn;

    explicit batch(const mode& m, std::ptrdiff_t wide = 5)
        : how(m), classes(wide), p(size), c(p), along(p), loss(rows), cross_entropy(rows), divergence(rows), lse_p(rows), lse_y(rows),
          predicted(rows) {
        cases::generator random(5);
        for (auto* values : {&p, &c, &along})
            for (T& v : *values) v = static_cast<T>(2 * random.normal());
    }
    T& p_at(std::ptrdiff_t i, std::ptrdiff_t k) { return p[static_cast<std::size_t>(i * classes + k)]; }
    T& c_at(std::ptrdiff_t i, std::ptrdiff_t k) { return c[static_cast<std::size_t>(i * classes + k)]; }
    double dp(std::ptrdiff_t i, std::ptrdiff_t k) const { return number(grad_p[static_cast<std::size_t>(i * classes + k)]); }
    double dc(std::ptrdiff_t i, std::ptrdiff_t k) const { return number(grad_c[static_cast<std::size_t>(i * classes + k)]); }
    double hp(std::ptrdiff_t i, std::ptrdiff_t k) const { return number(turn_p[static_cast<std::size_t>(i * classes + k)]); }
    double hc(std::ptrdiff_t i, std::ptrdiff_t k) const { return number(turn_c[static_cast<std::size_t>(i * classes + k)]); }

    batch& run(car::loss_options options = {.reduction = car::reduction::sum}) {
        options.precision = how.precision;
        for (auto* gradient : {&grad_p, &grad_c, &turn_p, &turn_c}) gradient->assign(p.size(), static_cast<T>(untouched));
        const car::matrix_view<const T> P(p.data(), rows, classes), C(c.data(), rows, classes), V(along.data(), rows, classes);
        const auto targets =
            soft.empty() ? car::targets<T>(labels) : car::targets<T>(car::matrix_view<const term>(soft.data(), rows, classes));
        car::loss_arrays<T> arrays{.grad_p = {turn_p.data(), rows, classes},
                                   .grad_c = {turn_c.data(), rows, classes},
                                   .upstream = upstream,
                                   .weight = weight,
                                   .sample_weight = sample_weight,
                                   .row_mask = row_mask,
                                   .class_mask = class_mask};
        turn = with(how.on, [&](auto on) { return car::loss_hvp(on, P, C, targets, {.p = V, .c = V}, options, arrays); });
        arrays.grad_p = {grad_p.data(), rows, classes};
        arrays.grad_c = {grad_c.data(), rows, classes};
        arrays.row_loss = loss;
        arrays.row_cross_entropy = cross_entropy;
        arrays.row_divergence = divergence;
        arrays.lse_p = lse_p;
        if (options.alpha != 0) arrays.lse_y = lse_y;
        arrays.predicted = predicted;
        result = with(how.on, [&](auto on) { return car::loss(on, P, C, targets, options, arrays); });
        return *this;
    }

    bool row_is(std::ptrdiff_t i, double value, bool both = true) const {
        for (std::ptrdiff_t k = 0; k != classes; ++k)
            for (const double got : {dp(i, k), hp(i, k), both ? dc(i, k) : value, both ? hc(i, k) : value})
                if (!(std::isnan(value) ? std::isnan(got) : got == value)) return false;
        return true;
    }
    bool is_finite(std::ptrdiff_t i) const {
        for (std::ptrdiff_t k = 0; k != classes; ++k)
            if (!(std::isfinite(dp(i, k)) && std::isfinite(dc(i, k)) && std::isfinite(hp(i, k)) && std::isfinite(hc(i, k)))) return false;
        return std::isfinite(loss[static_cast<std::size_t>(i)]);
    }
    /// Every row but one has the bits of another run.
    bool others_are_those_of(const batch& other, std::ptrdiff_t row) const {
        bool same = true;
        for (std::size_t i = 0; i != rows; ++i) {
            if (static_cast<std::ptrdiff_t>(i) == row) continue;
            same = same && same_bits(loss[i], other.loss[i]) && same_bits(cross_entropy[i], other.cross_entropy[i]) &&
                   same_bits(divergence[i], other.divergence[i]) && same_bits(lse_p[i], other.lse_p[i]) &&
                   same_bits(lse_y[i], other.lse_y[i]) && predicted[i] == other.predicted[i];
            for (std::size_t at = i * size / rows; at != (i + 1) * size / rows; ++at)
                same = same && same_bits(grad_p[at], other.grad_p[at]) && same_bits(grad_c[at], other.grad_c[at]) &&
                       same_bits(turn_p[at], other.turn_p[at]) && same_bits(turn_c[at], other.turn_c[at]);
        }
        return same;
    }
};

} // namespace

TEST_CASE_TEMPLATE("loss: a NaN or +inf in p, in any column, stays in its row and is reported", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    const auto plain = batch<T>(m).run();
    for (const double bad : {no_number, -no_number, inf})
        for (std::ptrdiff_t k = 0; k != 5; ++k)
            for (const double alpha : {1.0, 0.0}) {
                batch<T> b(m);
                b.p_at(1, k) = static_cast<T>(bad);
                b.run({.alpha = alpha, .reduction = car::reduction::sum});
                CHECK(std::isnan(b.loss[1]));
                CHECK(std::isnan(b.result.value));
                CHECK(b.row_is(1, no_number));
                CHECK(b.predicted[1] == -1);
                CHECK(b.result.status == car::row_status{car::fault::not_finite, 1, 1});
                CHECK(b.turn == b.result.status);
                if (alpha != 0) CHECK(b.others_are_those_of(plain, 1));
            }
}

TEST_CASE_TEMPLATE("loss: a row ignored by its label, by the mask or by a weight of 0 is not read", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (int how = 0; how != 5; ++how) {
        CAPTURE(how);
        batch<T> b(m);
        b.p_at(2, 0) = static_cast<T>(no_number);
        b.c_at(2, 1) = static_cast<T>(inf);
        if (how == 0) b.labels[2] = -100;
        if (how == 1) b.row_mask = {1, 1, 0, 1};
        if (how == 2) b.sample_weight = {1, 1, 0, 1};
        if (how == 3) b.weight = {1, 1, 1, 1, 0};
        if (how == 4) {
            b.sample_weight = {1, 1, 0, 1};
            b.weight.assign(5, 1);
        }
        if (how == 1 || how == 2 || how == 4) b.labels[2] = 2000000000; // nor is its label, or the weight of that
        b.run({});
        CHECK(b.result.count == 3);
        CHECK(b.result.weight == 3);
        CHECK(b.result.status.ok());
        CHECK(b.turn.ok());
        CHECK(b.row_is(2, 0));
        for (const auto* terms : {&b.loss, &b.cross_entropy, &b.divergence, &b.lse_p, &b.lse_y}) CHECK((*terms)[2] == 0);
        CHECK(b.predicted[2] == -1);
        batch<T> without = b; // the mean is over the other three
        without.p_at(2, 0) = without.c_at(2, 1) = T(0);
        CHECK(same_bits(without.run({}).result.value, b.result.value));
    }
}

TEST_CASE_TEMPLATE("loss: a label out of range is refused, unless its row is ignored", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (const int label : {5, -1}) {
        batch<T> b(m);
        b.labels[1] = label;
        b.p_at(1, 0) = static_cast<T>(no_number); // the label comes first
        CHECK(message_of([&] { b.run(); }) ==
              "car::loss_hvp: label in row 1 is " + std::to_string(label) + ", expected 0 to 4 or ignore_index -100");
        CHECK(b.row_is(1, batch<T>::untouched));
    }
}

TEST_CASE_TEMPLATE("loss: a row whose classes are all masked is NaN and reported, its gradients 0", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    const auto plain = batch<T>(m).run();
    batch<T> b(m);
    for (std::ptrdiff_t k = 0; k != 5; ++k) b.p_at(3, k) = static_cast<T>(-inf);
    b.run();
    CHECK(std::isnan(b.loss[3]));
    CHECK(b.result.status == car::row_status{car::fault::masked_row, 3, 1});
    CHECK(b.turn == b.result.status);
    CHECK(b.row_is(3, 0));
    CHECK(b.predicted[3] == -1);
    CHECK(b.others_are_those_of(plain, 3));
    batch<T> none(m);
    none.class_mask = {0, 0, 0, 0, 0};
    CHECK(none.run().result.status == car::row_status{car::fault::masked_row, 0, 4});
    CHECK(none.row_is(0, 0));
}

TEST_CASE_TEMPLATE("loss: a masked class has gradient +0, its c is not read; a masked label costs +inf", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (const double unread : {0.0, no_number, inf, -inf})
        for (const bool by_class : {false, true}) {
            batch<T> b(m);
            if (by_class) b.class_mask = {1, 1, 1, 0, 1}; // label of row 1
            for (std::ptrdiff_t i = 0; i != 4; ++i) {
                if (!by_class)
                    b.p_at(i, 3) = static_cast<T>(-inf);
                else
                    b.p_at(i, 3) = static_cast<T>(i == 0 ? no_number : 3); // nor is the p of a class that is masked in every row
                b.c_at(i, 3) = static_cast<T>(unread);
            }
            b.upstream = {-1, 1, 1, 1}; // which gives no -0
            b.run({.alpha = -0.5, .strength = -1, .reduction = car::reduction::sum});
            CHECK(b.is_finite(0));
            for (const auto* values : {&b.grad_p, &b.grad_c, &b.turn_p, &b.turn_c}) CHECK(same_bits((*values)[3], T(0)));
            CHECK(std::isinf(b.cross_entropy[1]));
            CHECK(std::isfinite(b.divergence[1]));
            CHECK(b.dp(1, 3) == -1);
            CHECK(same_bits(b.grad_c[5 + 3], T(0)));
            for (std::ptrdiff_t k = 0; k != 5; ++k) CHECK(std::isfinite(b.dp(1, k)));
            CHECK(b.result.status.ok());
        }
}

TEST_CASE_TEMPLATE("loss: by -inf or by the class mask, a class is masked to the same bits", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> by_value(m), by_class(m);
    for (std::ptrdiff_t i = 0; i != 4; ++i) by_value.p_at(i, 1) = static_cast<T>(-inf);
    by_class.class_mask = {1, 0, 1, 1, 1};
    for (const double smoothing : {0.0, 0.25}) {
        by_value.run({.label_smoothing = smoothing});
        by_class.run({.label_smoothing = smoothing});
        CHECK(by_value.others_are_those_of(by_class, -1));
        CHECK(by_value.result.value == by_class.result.value);
    }
}

TEST_CASE_TEMPLATE("loss: c infinite on a live class", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    const auto plain = batch<T>(m).run();
    for (const double bad : {inf, -inf})
        for (std::ptrdiff_t k = 0; k != 5; ++k) {
            batch<T> b(m);
            b.c_at(1, k) = static_cast<T>(bad);
            b.run();
            CHECK(std::isinf(b.divergence[1]));
            CHECK(std::isinf(b.loss[1]));
            CHECK(same_bits(b.cross_entropy[1], plain.cross_entropy[1]));
            CHECK(b.result.status.ok());
            CHECK(b.row_is(1, no_number));
            CHECK(b.others_are_those_of(plain, 1));
            b.run({.flow = car::flow::stop_counterfactual, .reduction = car::reduction::sum});
            CHECK(b.dc(1, 0) == 0);
            b.run({.alpha = 0, .reduction = car::reduction::sum});
            CHECK(b.is_finite(1));
        }
    for (const double bad : {inf, -inf}) {
        batch<T> b(m);
        for (std::ptrdiff_t k = 0; k != 5; ++k) b.c_at(2, k) = static_cast<T>(bad);
        b.run();
        CHECK(std::isnan(b.divergence[2]));
        CHECK(std::isfinite(b.cross_entropy[2]));
        CHECK(b.result.status == car::row_status{car::fault::not_finite, 2, 1});
        batch<T> sole(m); // one live class with c infinite
        for (std::ptrdiff_t k = 1; k != 5; ++k) sole.p_at(0, k) = static_cast<T>(-inf);
        sole.c_at(0, 0) = static_cast<T>(bad);
        CHECK(std::isnan(sole.run().divergence[0]));
        CHECK(sole.cross_entropy[0] == 0);
    }
    batch<T> b(m);
    b.c_at(0, 1) = static_cast<T>(no_number);
    b.c_at(0, 2) = static_cast<T>(inf);
    b.run();
    CHECK(std::isnan(b.divergence[0]));
    CHECK(std::isfinite(b.cross_entropy[0]));
    CHECK(b.row_is(0, no_number));
    CHECK(b.result.status == car::row_status{car::fault::not_finite, 0, 1});
    CHECK(b.others_are_those_of(plain, 0));
}

TEST_CASE_TEMPLATE("loss: with alpha 0, c is not read", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> b(m);
    b.c.assign(b.c.size(), static_cast<T>(no_number));
    b.run({.alpha = 0});
    CHECK(b.result.value == b.result.cross_entropy);
    CHECK(b.result.divergence == 0);
    for (std::ptrdiff_t i = 0; i != 4; ++i) CHECK(b.is_finite(i));
    for (const auto* values : {&b.grad_c, &b.turn_c})
        for (auto v : *values) CHECK(same_bits(v, T(0)));
}

TEST_CASE_TEMPLATE("loss: no row to count", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (const bool by_weight : {false, true}) {
        batch<T> b(m);
        if (by_weight)
            b.sample_weight.assign(4, 0);
        else
            b.labels.assign(4, -100);
        b.run({});
        CHECK(b.result.value == 0);
        CHECK(b.result.count == 0);
        for (std::ptrdiff_t i = 0; i != 4; ++i) CHECK(b.row_is(i, 0));
        CHECK(std::isnan(b.run({.empty = car::empty::nan}).result.value));
        CHECK(message_of([&] { b.run({.empty = car::empty::error}); }) ==
              "car::loss_hvp: labels are all ignored, expected at least one row for the mean");
        CHECK(b.run({.divisor = 2.0, .empty = car::empty::error}).result.value == 0);
    }
    const car::matrix_view<const T> no_rows(nullptr, 0, 3);
    CHECK(with(m.on, [&](auto on) { return car::loss(on, no_rows, no_rows, std::vector<int>{}); }).value == 0);
    car::loss_hvp(no_rows, no_rows, std::vector<int>{}, {}, {}, {});
}

TEST_CASE_TEMPLATE("loss: soft labels", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    using term = car::term_of<T>;
    batch<T> b(m), index(m);
    b.soft.assign(20, 0);
    for (std::size_t i = 0; i != 4; ++i) b.soft[i * 5 + static_cast<std::size_t>(b.labels[i])] = 1;
    for (const auto target : {car::kl_target::prediction, car::kl_target::label}) {
        b.run({.kl_target = target});
        index.run({.kl_target = target});
        CHECK(b.result.value == doctest::Approx(index.result.value).epsilon(4 * types::u<term>)); // a one-hot row is its class
        CHECK(b.result.correct == index.result.correct);
    }
    b.p_at(0, 2) = static_cast<T>(-inf); // 0 log 0 = 0
    CHECK(b.run().is_finite(0));
    b.soft[2] = term(0.5); // something expected of a masked class
    b.run();
    CHECK(std::isinf(b.cross_entropy[0]));
    CHECK(b.dp(0, 2) == -0.5);
    CHECK(std::isfinite(b.dp(0, 1)));

    batch<T> bad(m);
    bad.soft = b.soft;
    const auto plain = batch<T>(bad).run();
    bad.soft[6] = static_cast<term>(no_number);
    bad.run();
    CHECK(std::isnan(bad.loss[1]));
    CHECK(bad.row_is(1, no_number));
    CHECK(bad.result.status == car::row_status{car::fault::not_finite, 1, 1});
    CHECK(bad.others_are_those_of(plain, 1));
    bad.weight = {1, 2, 3, 4, 5}; // the weight of that row is NaN too; the mean of the others is not
    CHECK(std::isfinite(bad.run({}).dp(2, 0)));

    batch<T> nothing(m); // labels that expect nothing cost nothing
    nothing.soft.assign(20, 0);
    nothing.run({.alpha = 0});
    CHECK(nothing.result.value == 0);
    CHECK(nothing.row_is(0, 0));
}

namespace {

template <class T>
bool nearly(T a, T b) {
    const double x = number(a), y = number(b);
    return (std::isnan(x) && std::isnan(y)) || x == y || std::abs(x - y) <= 64 * types::u<T> * (1 + std::abs(x));
}

} // namespace

TEST_CASE_TEMPLATE("loss: classes that are masked change nothing, whatever is wrong with the others", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (const bool in_p : {true, false})
        for (const double value : {no_number, inf, -inf, 0.0, number(types::limits<T>::least)}) {
            INFO((in_p ? "p" : "c") << " " << value);
            batch<T> little(m);
            batch<T> much(m, 40);
            (in_p ? little.p_at(1, 2) : little.c_at(1, 2)) = static_cast<T>(value);
            for (std::ptrdiff_t k = 0; k != 5; ++k) little.p_at(2, k) = static_cast<T>(-inf);
            for (std::ptrdiff_t i = 0; i != 4; ++i)
                for (std::ptrdiff_t k = 0; k != 40; ++k) {
                    much.p_at(i, k) = k < 5 ? little.p_at(i, k) : static_cast<T>(-inf);
                    much.c_at(i, k) = k < 5 ? little.c_at(i, k) : static_cast<T>(no_number);
                }
            little.run();
            much.run();
            CHECK(little.result.status == much.result.status);
            for (std::ptrdiff_t i = 0; i != 4; ++i) {
                const auto at = static_cast<std::size_t>(i);
                CHECK(nearly(little.loss[at], much.loss[at]));
                CHECK(nearly(little.cross_entropy[at], much.cross_entropy[at]));
                CHECK(nearly(little.divergence[at], much.divergence[at]));
                CHECK(nearly(little.lse_p[at], much.lse_p[at]));
                CHECK(nearly(little.lse_y[at], much.lse_y[at]));
                CHECK(little.predicted[at] == much.predicted[at]);
                for (std::ptrdiff_t k = 0; k != 5; ++k) {
                    CHECK(nearly(static_cast<T>(little.dp(i, k)), static_cast<T>(much.dp(i, k))));
                    CHECK(nearly(static_cast<T>(little.dc(i, k)), static_cast<T>(much.dc(i, k))));
                }
            }
        }
}

TEST_CASE_TEMPLATE("loss: the largest logit is found where it is denormal", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> rows(m, 48);
    for (auto& logit : rows.p) logit = static_cast<T>(-1);
    for (std::ptrdiff_t i = 0; i != 4; ++i) rows.p_at(i, 47 - i) = static_cast<T>(types::limits<T>::least);
    // No lse_p is asked for: a backend may find the largest logit of such a row in another way then.
    const car::matrix_view<const T> P(rows.p.data(), 4, 48), C(rows.c.data(), 4, 48);
    with(m.on, [&](auto on) { return car::loss(on, P, C, rows.labels, {.precision = m.precision}, {.predicted = rows.predicted}); });
    for (std::ptrdiff_t i = 0; i != 4; ++i) CHECK(rows.predicted[static_cast<std::size_t>(i)] == 47 - i);
}

TEST_CASE_TEMPLATE("loss: one class costs nothing, smoothed or not", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> one(m, 1);
    one.labels = {0, 0, 0, 0};
    for (const double smoothing : {0.0, 0.25, 1.0}) {
        one.run({.label_smoothing = smoothing, .reduction = car::reduction::sum});
        for (std::size_t i = 0; i != 4; ++i) {
            CHECK(one.cross_entropy[i] == 0);
            CHECK(one.divergence[i] == 0);
        }
    }
}

TEST_CASE_TEMPLATE("loss: smoothing puts its mass on the live classes only", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> b(m);
    for (std::ptrdiff_t k = 0; k != 5; ++k) b.p_at(0, k) = static_cast<T>(k < 2 ? 0 : -inf); // P = 1/2, 1/2
    b.run({.alpha = 0, .label_smoothing = 1, .reduction = car::reduction::sum});
    CHECK(b.loss[0] == doctest::Approx(std::log(2)).epsilon(4 * types::u<car::term_of<T>>));
    CHECK(b.row_is(0, 0, false) == false);                          // the second order is not 0,
    for (std::ptrdiff_t k = 0; k != 5; ++k) CHECK(b.dp(0, k) == 0); // the gradient of an even row against even labels is
    b.run({.alpha = 0, .label_smoothing = 0.5, .reduction = car::reduction::sum});
    CHECK(b.dp(0, 0) == -0.25);
    CHECK(b.dp(0, 1) == 0.25);
    b.p_at(1, 3) = static_cast<T>(-inf); // its label
    CHECK(std::isinf(b.run({.label_smoothing = 0.5}).cross_entropy[1]));
    CHECK(std::isfinite(b.run({.label_smoothing = 1}).cross_entropy[1])); // of which nothing is left
}

TEST_CASE_TEMPLATE("loss: masked classes of a row that fills registers have gradients +0, smoothed and of any sign", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    for (const double smoothing : {0.0, 0.25}) {
        batch<T> b(m, 40);
        for (const std::ptrdiff_t k : {7, 33}) b.p_at(0, k) = static_cast<T>(-inf), b.c_at(0, k) = static_cast<T>(no_number);
        b.upstream.assign(4, -1);
        b.run({.label_smoothing = smoothing, .reduction = car::reduction::sum});
        CHECK(b.is_finite(0));
        for (const std::ptrdiff_t k : {7, 33}) {
            CHECK((b.dp(0, k) == 0 && !std::signbit(b.dp(0, k))));
            CHECK((b.dc(0, k) == 0 && !std::signbit(b.dc(0, k))));
        }
        CHECK(b.dp(0, 8) != 0);
    }
}

TEST_CASE_TEMPLATE("loss: one class, wide gaps, denormals, the largest numbers", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    // Of double a quarter: differences of differences are numbers still.
    const double most = types::limits<T>::most / (sizeof(T) == 8 ? 4 : 1), least = types::limits<T>::least;
    batch<T> sole(m, 1);
    sole.labels.assign(4, 0);
    sole.run();
    CHECK(sole.result.value == 0);
    CHECK(sole.result.correct == 4);
    for (std::ptrdiff_t i = 0; i != 4; ++i) CHECK(sole.row_is(i, 0));
    batch<T> b(m);
    b.p_at(0, 0) = static_cast<T>(most);
    b.p_at(0, 1) = static_cast<T>(-most);
    b.labels[0] = 1; // CE of twice the largest number
    b.c_at(1, 2) = static_cast<T>(most);
    b.c_at(1, 3) = static_cast<T>(-most);
    b.c_at(2, 0) = static_cast<T>(least);
    b.p_at(2, 1) = static_cast<T>(-least);
    b.p_at(3, 1) = static_cast<T>(200);
    b.run();
    CHECK(b.result.status.ok());
    CHECK(b.result.value > most);
    CHECK(b.is_finite(2));
    CHECK(b.is_finite(3));
    CHECK(number(b.cross_entropy[0]) == number(static_cast<car::term_of<T>>(2 * most)));
    for (const auto* values : {&b.grad_p, &b.grad_c})
        for (auto v : *values) CHECK(!std::isnan(number(v)));
}

TEST_CASE("loss: a cross-entropy beyond the largest float is right in the result and +inf in an array of float") {
    const float p[1][2] = {{3e38f, -3e38f}}, c[1][2] = {{1, 2}};
    std::vector<float> rows(1);
    const auto result = car::loss(p, c, std::vector{1}, {.alpha = 0}, {.row_loss = rows});
    CHECK(result.value == 2 * static_cast<double>(3e38f));
    CHECK(rows[0] == HUGE_VALF);
}

TEST_CASE_TEMPLATE("loss: what cannot be is refused with its name and value", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    using term = car::term_of<T>;
    const auto refuses = [&](car::loss_options options, const std::string& text) {
        batch<T> b(m);
        CHECK(message_of([&] { b.run(options); }) == "car::loss_hvp: " + text);
        CHECK(b.row_is(0, batch<T>::untouched));
    };
    refuses({.alpha = no_number}, "alpha is nan, expected a finite number");
    refuses({.alpha = -inf}, "alpha is -inf, expected a finite number");
    refuses({.strength = no_number}, "strength is nan, expected a finite number");
    refuses({.z_weight = inf}, "z_weight is inf, expected a finite number");
    refuses({.temperature = -1}, "temperature is -1.000000, expected a positive number");
    refuses({.logit_scale = 0}, "logit_scale is 0.000000, expected a positive number");
    refuses({.softcap = 0.0}, "softcap is 0.000000, expected a positive number");
    refuses({.label_smoothing = 1.5}, "label_smoothing is 1.500000, expected a number from 0 to 1");
    refuses({.label_smoothing = no_number}, "label_smoothing is nan, expected a number from 0 to 1");
    refuses({.divisor = -2.0}, "divisor is -2.000000, expected a positive number");
    CHECK(std::isfinite(batch<T>(m).run({.alpha = -3}).result.value)); // a negative alpha is allowed

    batch<T> b(m);
    b.weight = {1, 2, -1, 1, 1};
    CHECK(message_of([&] { b.run(); }) == "car::loss_hvp: weight at 2 is -1.000000, expected a finite number that is not negative");
    b.weight = {1, 2};
    CHECK(message_of([&] { b.run(); }) == "car::loss_hvp: weight has shape 2 x 1, expected 5 x 1");
    b.weight.clear();
    b.sample_weight = {1, 1, 1, static_cast<term>(no_number)};
    CHECK(message_of([&] { b.run(); }) == "car::loss_hvp: sample_weight at 3 is nan, expected a finite number that is not negative");
    b.sample_weight.clear();
    b.row_mask = {1, 1, 1};
    CHECK(message_of([&] { b.run(); }) == "car::loss_hvp: row_mask has shape 3 x 1, expected 4 x 1");
    b.row_mask.clear();
    b.class_mask = {1, 1, 1, 1};
    CHECK(message_of([&] { b.run(); }) == "car::loss_hvp: class_mask has shape 4 x 1, expected 5 x 1");
}

TEST_CASE_TEMPLATE("loss: gradients that accumulate", T, EVERY_TYPE) {
    const mode& m = each_of(modes);
    batch<T> b(m);
    b.labels[1] = -100;
    b.run();
    std::vector<T> p(20, T(0.5)), c(20, T(-0.25));
    const car::loss_options options{.reduction = car::reduction::sum, .precision = m.precision, .gradients = car::gradients::accumulate};
    const auto accumulate = [&](const std::vector<T>& logits, const car::loss_arrays<T>& arrays) {
        const car::matrix_view<const T> P(logits.data(), 4, 5), C(b.c.data(), 4, 5);
        with(m.on, [&](auto on) { return car::loss(on, P, C, b.labels, options, arrays); });
    };
    accumulate(b.p, {.grad_p = {p.data(), 4, 5}, .grad_c = {c.data(), 4, 5}});
    for (std::size_t k = 0; k != 20; ++k) {
        const double want = 0.5 + number(b.grad_p[k]);
        CHECK(std::abs(number(p[k]) - want) <= 2 * types::u<T> * (std::abs(want) + std::abs(number(b.grad_p[k]))));
    }
    for (std::size_t k = 5; k != 10; ++k) CHECK(number(p[k]) == 0.5); // an ignored row adds nothing
    std::vector<T> in_place = b.p;
    CHECK(message_of([&] { accumulate(in_place, {.grad_p = {in_place.data(), 4, 5}}); }) == "car::loss: grad_p overlaps p");
}

TEST_CASE_TEMPLATE("softmax, log_softmax, log_sum_exp, corrected_softmax", T, EVERY_TYPE) {
    const mode& m = each_of(backends);
    for (const std::ptrdiff_t n : {1, 2, 5, 17, 33})
        for (std::ptrdiff_t at = 0; at != n; ++at) {
            const auto size = static_cast<std::size_t>(n);
            cases::generator random(9);
            std::vector<T> p(3 * size), c(3 * size), plain(3 * size), y(3 * size);
            for (T& v : p) v = static_cast<T>(random.normal());
            for (T& v : c) v = static_cast<T>(random.normal());
            std::vector<car::term_of<T>> lse(3);
            const car::matrix_view<T> P(p.data(), 3, n), C(c.data(), 3, n), Y(y.data(), 3, n), Plain(plain.data(), 3, n);
            const T good = P(1, at);
            for (int op = 0; op != 3; ++op) {
                const auto run = [&](const car::matrix_view<T>& out) {
                    with(m.on, [&](auto on) {
                        if (op == 0) return car::softmax(on, P, out);
                        if (op == 1) return car::log_softmax(on, P, out);
                        return car::corrected_softmax(on, P, C, out);
                    });
                };
                run(Plain);
                for (const double bad : {no_number, inf, -inf}) {
                    P(1, at) = static_cast<T>(bad);
                    if (bad == -inf) C(1, at) = static_cast<T>(no_number); // not read
                    run(Y);
                    with(m.on, [&](auto on) { return car::log_sum_exp(on, P, lse); });
                    const bool masked_row = bad == -inf && n == 1;
                    if (bad == -inf && !masked_row) {
                        CHECK(number(Y(1, at)) == (op == 1 ? -inf : 0));
                        CHECK(std::isfinite(lse[1]));
                        CHECK(std::isfinite(number(Y(1, (at + 1) % n))));
                    } else {
                        for (std::ptrdiff_t k = 0; k != n; ++k) CHECK(std::isnan(number(Y(1, k))));
                        CHECK((std::isnan(bad) ? std::isnan(lse[1]) : number(lse[1]) == bad));
                    }
                    for (std::ptrdiff_t k = 0; k != n; ++k) {
                        CHECK(same_bits(Y(0, k), Plain(0, k)));
                        CHECK(same_bits(Y(2, k), Plain(2, k)));
                    }
                    C(1, at) = T(0);
                }
                P(1, at) = good;
            }
            for (const double bad : {no_number, -inf, inf}) { // c on a live class
                C(1, at) = static_cast<T>(bad);
                with(m.on, [&](auto on) { return car::corrected_softmax(on, P, C, Y); });
                const bool defined = bad == inf && n > 1;
                for (std::ptrdiff_t k = 0; k != n; ++k) CHECK(std::isnan(number(Y(1, k))) == !defined);
                if (defined) CHECK(number(Y(1, at)) == 0);
            }
        }
    std::vector<T> one(1);
    const std::vector<T> p{static_cast<T>(-types::limits<T>::most)};
    const car::matrix_view<const T> largest(p.data(), 1, 1), no_rows(nullptr, 0, 4);
    with(m.on, [&](auto on) { return car::softmax(on, largest, {one.data(), 1, 1}); });
    CHECK(number(one[0]) == 1);
    with(m.on, [&](auto on) { return car::softmax(on, no_rows, {nullptr, 0, 4}); });
}

TEST_CASE_TEMPLATE("corrected_softmax_vjp: a probability of 0 has gradient +0 whatever comes from above", T, EVERY_TYPE) {
    const mode& m = each_of(backends);
    const std::vector<T> y{T(0.25), T(0), T(0.75), T(0.5), T(0.5), T(0)};
    for (const double bad : {no_number, inf, -inf}) {
        std::vector<T> upstream{T(1), static_cast<T>(bad), T(-2), T(1), T(2), T(3)}, grad_p(6, T(7)), grad_c(6, T(7));
        const auto vjp = [&](const car::matrix_view<T>& to_c) {
            const car::matrix_view<const T> Y(y.data(), 2, 3), U(upstream.data(), 2, 3);
            with(m.on, [&](auto on) { return car::corrected_softmax_vjp(on, Y, U, {.grad_p = {grad_p.data(), 2, 3}, .grad_c = to_c}); });
        };
        vjp({grad_c.data(), 2, 3});
        CHECK(same_bits(grad_p[1], T(0)));
        CHECK(same_bits(grad_c[1], T(0)));
        CHECK(number(grad_p[0]) == 0.5625);
        CHECK(number(grad_p[2]) == -0.5625);
        upstream[0] = static_cast<T>(no_number);
        vjp({});
        CHECK(std::isnan(number(grad_p[2])));
        CHECK(number(grad_p[3]) == -0.25);
    }
}

TEST_CASE_TEMPLATE("effect: ignored rows, masked classes, rows without an answer", T, EVERY_TYPE) {
    const mode& m = each_of(backends);
    const auto run = [&](const std::vector<double>& p, const std::vector<int>& labels) {
        std::vector<T> values, zeros(p.size(), T(0));
        for (double v : p) values.push_back(static_cast<T>(v));
        const auto rows = static_cast<std::ptrdiff_t>(labels.size());
        const car::matrix_view<const T> P(values.data(), rows, 2), C(zeros.data(), rows, 2);
        return with(m.on, [&](auto on) { return car::effect(on, P, C, labels); });
    };
    const auto masked = run({0, -inf, 0, -inf}, {0, 1}); // certain of class 0: +1/2 for label 0, -1/2 for label 1
    CHECK(masked.mean == 0);
    CHECK(masked.status.ok());
    const auto ignored = run({no_number, no_number, 0, -inf}, {-100, 0});
    CHECK(ignored.count == 1);
    CHECK(ignored.mean == 0.5);
    CHECK(ignored.status.ok());
    for (const double bad : {no_number, inf}) {
        const auto faulty = run({0, 0, bad, 0, 0, 0}, {0, 0, 0});
        CHECK(std::isnan(faulty.mean));
        CHECK(faulty.status == car::row_status{car::fault::not_finite, 1, 1});
    }
    CHECK_FALSE(run({0, 0, -inf, -inf}, {0, 0}).status.ok());
    CHECK(message_of([&] {
              run({0, 0, no_number, 0}, {0, 2});
          }) == "car::effect: label in row 1 is 2, expected 0 to 1 or ignore_index -100");
    CHECK(run({}, {}).count == 0);
}

TEST_CASE("a cross-entropy is not negative where a logit is less than normal") {
    const car::bfloat16 p[1][1] = {{car::bfloat16(6.7e-39f)}}, c[1][1] = {{car::bfloat16(0.f)}};
    const std::array<int, 1> labels{0};
    std::array<float, 1> cross_entropy{-1};
    car::loss(p, c, labels, {.label_smoothing = 0.25}, {.row_cross_entropy = cross_entropy});
    CHECK(cross_entropy[0] == 0);
}
