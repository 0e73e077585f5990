// SPDX-License-Identifier: Apache-2.0
// Every line of the contract on special values, options and errors, with exact expectations.
#include <car/loss.hpp>

#include "support/message.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

template <class T>
constexpr T inf = std::numeric_limits<T>::infinity();
template <class T>
constexpr T no_number = std::numeric_limits<T>::quiet_NaN();

/// Four rows of five classes, and every array of a call, full of a value that no call writes.
template <class T>
struct batch {
    static constexpr std::ptrdiff_t rows = 4, classes = 5;
    static constexpr T untouched = T(12345);
    std::vector<T> p, c, grad_p, grad_c, loss, cross_entropy, divergence;
    std::vector<int> labels{0, 3, 4, 2};
    car::loss_result result;

    batch()
        : p(rows * classes), c(p), grad_p(p.size(), untouched), grad_c(grad_p), loss(rows, untouched), cross_entropy(loss),
          divergence(loss) {
        std::mt19937_64 random(5);
        std::normal_distribution<double> normal(0, 2);
        for (T& v : p) v = static_cast<T>(normal(random));
        for (T& v : c) v = static_cast<T>(normal(random));
    }
    T& p_at(std::ptrdiff_t i, std::ptrdiff_t k) { return p[static_cast<std::size_t>(i * classes + k)]; }
    T& c_at(std::ptrdiff_t i, std::ptrdiff_t k) { return c[static_cast<std::size_t>(i * classes + k)]; }
    T dp(std::ptrdiff_t i, std::ptrdiff_t k) const { return grad_p[static_cast<std::size_t>(i * classes + k)]; }
    T dc(std::ptrdiff_t i, std::ptrdiff_t k) const { return grad_c[static_cast<std::size_t>(i * classes + k)]; }
    car::loss_arrays<T> arrays() {
        return {.grad_p = {grad_p.data(), rows, classes},
                .grad_c = {grad_c.data(), rows, classes},
                .row_loss = loss,
                .row_cross_entropy = cross_entropy,
                .row_divergence = divergence};
    }
    batch& run(const car::loss_options& options = {}) {
        result = car::loss(car::matrix_view<const T>(p.data(), rows, classes), {c.data(), rows, classes}, labels, options, arrays());
        return *this;
    }
    bool untouched_everywhere() const {
        for (const auto* values : {&grad_p, &grad_c, &loss, &cross_entropy, &divergence})
            for (T v : *values)
                if (v != untouched) return false;
        return true;
    }
};

template <class T>
bool same_bits(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Every row but `row` is what it is without the change, to the bit.
template <class T>
void others_unchanged(const batch<T>& changed, const batch<T>& plain, std::ptrdiff_t row) {
    for (std::ptrdiff_t i = 0; i != batch<T>::rows; ++i) {
        if (i == row) continue;
        const auto at = static_cast<std::size_t>(i);
        CHECK(same_bits(changed.loss[at], plain.loss[at]));
        for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) {
            CHECK(same_bits(changed.dp(i, k), plain.dp(i, k)));
            CHECK(same_bits(changed.dc(i, k), plain.dc(i, k)));
        }
    }
}

const car::loss_options sum{.reduction = car::reduction::sum};

} // namespace

TEST_CASE_TEMPLATE("a NaN or +inf in p stays in its row, and is reported", T, float, double) {
    const batch<T> plain = batch<T>().run(sum);
    for (const T bad : {no_number<T>, inf<T>})
        for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k)
            for (const double alpha : {1.0, 0.0}) {
                batch<T> b;
                b.p_at(1, k) = bad;
                b.run({.alpha = alpha, .reduction = car::reduction::sum});
                CHECK(std::isnan(b.loss[1]));
                CHECK(std::isnan(b.result.value));
                CHECK(b.result.status == car::row_status{car::fault::not_finite, 1, 1});
                for (std::ptrdiff_t j = 0; j != batch<T>::classes; ++j) CHECK(std::isnan(b.dp(1, j)));
                if (alpha != 0) others_unchanged(b, plain, 1);
            }
}

TEST_CASE_TEMPLATE("ignored rows: loss 0, gradients exactly 0 even if the logits are NaN, not counted", T, float, double) {
    batch<T> b;
    b.labels[2] = -100;
    b.p_at(2, 0) = no_number<T>;
    b.c_at(2, 1) = inf<T>;
    b.run();
    CHECK(b.result.count == 3);
    CHECK(b.result.status.ok());
    CHECK(b.loss[2] == 0);
    CHECK(b.cross_entropy[2] == 0);
    CHECK(b.divergence[2] == 0);
    for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) {
        CHECK(b.dp(2, k) == 0);
        CHECK(b.dc(2, k) == 0);
    }
    const double rows =
        static_cast<double>(b.cross_entropy[0]) + static_cast<double>(b.cross_entropy[1]) + static_cast<double>(b.cross_entropy[3]);
    CHECK(b.result.cross_entropy == doctest::Approx(rows / 3).epsilon(static_cast<double>(4 * std::numeric_limits<T>::epsilon())));
    batch<T> own;
    own.labels = {7, 3, 4, 2};
    CHECK(own.run({.ignore_index = 7}).result.count == 3);
}

TEST_CASE_TEMPLATE("a row whose classes are all masked: NaN, gradients 0, reported", T, float, double) {
    const batch<T> plain = batch<T>().run(sum);
    batch<T> b;
    for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) b.p_at(3, k) = -inf<T>;
    b.run(sum);
    CHECK(std::isnan(b.loss[3]));
    CHECK(b.result.status == car::row_status{car::fault::masked_row, 3, 1});
    for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) {
        CHECK(b.dp(3, k) == 0);
        CHECK(b.dc(3, k) == 0);
    }
    others_unchanged(b, plain, 3);
}

TEST_CASE_TEMPLATE("a masked class has gradient +0 and its c is not read; a masked label costs +inf", T, float, double) {
    for (const T unread : {T(0), no_number<T>, inf<T>, -inf<T>}) {
        batch<T> b;
        b.p_at(0, 2) = -inf<T>; // label 0
        b.c_at(0, 2) = unread;
        b.p_at(1, 3) = -inf<T>; // label 3
        b.c_at(1, 3) = unread;
        b.run({.alpha = -0.5, .strength = -1, .reduction = car::reduction::sum});
        CHECK(std::isfinite(b.loss[0]));
        CHECK(same_bits(b.dp(0, 2), T(0)));
        CHECK(same_bits(b.dc(0, 2), T(0)));
        CHECK(b.cross_entropy[1] == inf<T>);
        CHECK(std::isfinite(b.divergence[1]));
        CHECK(b.dp(1, 3) == -1);
        CHECK(same_bits(b.dc(1, 3), T(0)));
        for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) CHECK(std::isfinite(b.dp(1, k)));
        CHECK(b.result.status.ok());
    }
}

TEST_CASE_TEMPLATE("all of the label's mass goes to the only live class: no surprise", T, float, double) {
    for (std::ptrdiff_t wide : {2, 40}) // in a tile, and in a row of its own
        for (int step = 0; step != 20; ++step) {
            std::vector<T> p(static_cast<std::size_t>(wide), -inf<T>), c(p.size(), T(0));
            p[1] = T(0.37) * static_cast<T>(step) - T(3);
            const auto result =
                car::loss(car::matrix_view<const T>(p.data(), 1, wide), {c.data(), 1, wide}, std::vector{0}, {.label_smoothing = 1});
            CHECK(result.cross_entropy == 0);
        }
}

TEST_CASE_TEMPLATE("c infinite or NaN on a live class", T, float, double) {
    const batch<T> plain = batch<T>().run(sum);
    for (const T bad : {inf<T>, -inf<T>})
        for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) {
            batch<T> b;
            b.c_at(1, k) = bad;
            b.run(sum);
            CHECK(b.divergence[1] == inf<T>);
            CHECK(b.loss[1] == inf<T>);
            const double size = static_cast<double>(plain.cross_entropy[1]);
            CHECK(std::abs(static_cast<double>(b.cross_entropy[1]) - size) <= 8 * types::u<T> * size); // two ways, each within 4u
            CHECK(b.result.status.ok());
            others_unchanged(b, plain, 1);
            b.run({.flow = car::flow::stop_counterfactual, .reduction = car::reduction::sum});
            CHECK(b.dc(1, 0) == 0);
        }
    batch<T> mixed;
    mixed.c_at(1, 0) = inf<T>;
    mixed.c_at(1, 4) = -inf<T>;
    CHECK(mixed.run(sum).divergence[1] == inf<T>);
    for (const T bad : {inf<T>, -inf<T>}) {
        batch<T> b;
        for (std::ptrdiff_t k = 0; k != batch<T>::classes; ++k) b.c_at(2, k) = bad;
        b.run(sum);
        CHECK(std::isnan(b.divergence[2]));
        CHECK(std::isfinite(b.cross_entropy[2]));
        CHECK(b.result.status == car::row_status{car::fault::not_finite, 2, 1});
        batch<T> sole; // one live class with c infinite
        for (std::ptrdiff_t k = 1; k != batch<T>::classes; ++k) sole.p_at(0, k) = -inf<T>;
        sole.c_at(0, 0) = bad;
        CHECK(std::isnan(sole.run(sum).divergence[0]));
    }
    batch<T> b;
    b.c_at(0, 1) = no_number<T>;
    b.c_at(0, 2) = inf<T>;
    b.run(sum);
    CHECK(std::isnan(b.divergence[0]));
    CHECK(std::isfinite(b.cross_entropy[0]));
    CHECK(std::isnan(b.dc(0, 3)));
    CHECK(b.result.status.rows == 1);
    others_unchanged(b, plain, 0);
}

TEST_CASE_TEMPLATE("alpha 0: c is not read and may be absent", T, float, double) {
    batch<T> b;
    b.c.assign(b.c.size(), no_number<T>);
    b.run({.alpha = 0});
    CHECK(b.result.value == b.result.cross_entropy);
    CHECK(b.result.divergence == 0);
    CHECK(std::isfinite(b.result.value));
    for (T v : b.grad_c) CHECK(same_bits(v, T(0)));
    const car::matrix_view<const T> p(b.p.data(), 4, 5);
    CHECK(car::loss(p, {}, b.labels, {.alpha = 0}).value == b.result.value);
    CHECK(car::loss(car::scalar, p, {}, b.labels, {.alpha = 0}).value ==
          car::loss(car::scalar, p, {b.c.data(), 4, 5}, b.labels, {.alpha = 0}).value);
}

TEST_CASE_TEMPLATE("each gradient alone has the bits that it has beside the other", T, float, double) {
    const auto check = [](const auto& on) {
        batch<T> b;
        const car::matrix_view<const T> p(b.p.data(), b.rows, b.classes), c(b.c.data(), b.rows, b.classes);
        const car::matrix_view<T> grad_p(b.grad_p.data(), b.rows, b.classes), grad_c(b.grad_c.data(), b.rows, b.classes);
        car::loss(on, p, c, b.labels, {}, {.grad_p = grad_p, .grad_c = grad_c});
        const std::vector<T> to_p = b.grad_p, to_c = b.grad_c;
        for (auto* gradient : {&b.grad_p, &b.grad_c}) gradient->assign(gradient->size(), b.untouched);
        car::loss(on, p, c, b.labels, {}, {.grad_c = grad_c});
        CHECK(b.grad_c == to_c);
        CHECK(b.grad_p == std::vector<T>(to_p.size(), b.untouched));
        b.grad_c.assign(to_c.size(), b.untouched);
        car::loss(on, p, c, b.labels, {}, {.grad_p = grad_p});
        CHECK(b.grad_p == to_p);
        CHECK(b.grad_c == std::vector<T>(to_c.size(), b.untouched));
    };
    check(car::scalar);
    check(car::simd);
}

TEST_CASE_TEMPLATE("no row to count", T, float, double) {
    batch<T> b;
    b.labels.assign(4, -100);
    b.run();
    CHECK(b.result.value == 0);
    CHECK(b.result.count == 0);
    for (T v : b.grad_p) CHECK(v == 0);
    CHECK(std::isnan(b.run({.empty = car::empty::nan}).result.value));
    batch<T> refused;
    refused.labels.assign(4, -100);
    CHECK(message_of([&] { refused.run({.empty = car::empty::error}); }) ==
          "car::loss: labels are all ignored, expected at least one row for the mean");
    CHECK(refused.untouched_everywhere());
    CHECK(car::loss(car::matrix_view<const T>(nullptr, 0, 3), {nullptr, 0, 3}, std::vector<int>{}).value == 0);
}

TEST_CASE_TEMPLATE("wide values stay finite", T, float, double) {
    batch<T> b;
    const T wide = static_cast<T>(3e38);
    b.p_at(0, 0) = wide;
    b.p_at(0, 1) = -wide;
    b.labels[0] = 1; // CE 6e38
    b.c_at(1, 2) = wide;
    b.c_at(1, 3) = -wide;
    b.c_at(2, 0) = std::numeric_limits<T>::denorm_min();
    b.p_at(3, 1) = 200;
    b.run(sum);
    CHECK(b.result.status.ok());
    CHECK(b.result.value > 6e38);
    CHECK(std::isfinite(b.result.value));
    CHECK(b.cross_entropy[0] == (sizeof(T) == 4 ? inf<T> : static_cast<T>(2 * static_cast<double>(wide))));
    for (T v : b.grad_p) CHECK(!std::isnan(v));
    for (T v : b.grad_c) CHECK(!std::isnan(v));
}

TEST_CASE_TEMPLATE("reductions, divisor, upstream", T, float, double) {
    const batch<T> mean = batch<T>().run(), total = batch<T>().run(sum);
    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(mean.result.value == doctest::Approx(total.result.value / 4).epsilon(1e-15));
    batch<T> divided;
    divided.run({.divisor = 8.0});
    CHECK(divided.result.value == doctest::Approx(total.result.value / 8).epsilon(1e-15));
    batch<T> none;
    none.run({.reduction = car::reduction::none});
    CHECK(std::isnan(none.result.value));
    const std::vector<T> upstream{T(2), T(-3), T(0.5), T(0)};
    batch<T> weighted;
    car::loss_arrays<T> arrays = weighted.arrays();
    arrays.upstream = upstream;
    car::loss(car::matrix_view<const T>(weighted.p.data(), 4, 5), {weighted.c.data(), 4, 5}, weighted.labels, {}, arrays);
    for (std::ptrdiff_t i = 0; i != 4; ++i) {
        CHECK(same_bits(none.loss[static_cast<std::size_t>(i)], total.loss[static_cast<std::size_t>(i)]));
        for (std::ptrdiff_t k = 0; k != 5; ++k) {
            CHECK(same_bits(none.dp(i, k), total.dp(i, k)));
            CHECK(static_cast<double>(mean.dp(i, k)) == doctest::Approx(static_cast<double>(total.dp(i, k)) / 4).epsilon(epsilon));
            CHECK(static_cast<double>(divided.dc(i, k)) == doctest::Approx(static_cast<double>(total.dc(i, k)) / 8).epsilon(epsilon));
            const double want = static_cast<double>(upstream[static_cast<std::size_t>(i)]) * static_cast<double>(total.dp(i, k)) / 4;
            CHECK(std::abs(static_cast<double>(weighted.dp(i, k)) - want) <= 2 * epsilon * std::abs(want));
        }
    }
}

TEST_CASE_TEMPLATE("strides, storage order, in place, batch split: the same bits", T, float, double) {
    const batch<T> plain = batch<T>().run(sum);
    batch<T> source;
    std::vector<T> p(200, no_number<T>), c(200, no_number<T>), gp(200, no_number<T>), gc(200, no_number<T>);
    struct layout {
        std::ptrdiff_t offset, row, col;
    };
    for (const layout l :
         {layout{0, 5, 1}, layout{3, 17, 2}, layout{0, 1, 4}, layout{60, -11, 2}, layout{100, 7, -1}, layout{190, -41, -2}}) {
        const car::matrix_view<T> P(p.data() + l.offset, 4, 5, l.row, l.col), C(c.data() + l.offset, 4, 5, l.row, l.col);
        const auto load = [&] {
            for (std::ptrdiff_t i = 0; i != 4; ++i)
                for (std::ptrdiff_t k = 0; k != 5; ++k) {
                    P(i, k) = source.p_at(i, k);
                    C(i, k) = source.c_at(i, k);
                }
        };
        for (const bool in_place : {false, true}) {
            load();
            const car::matrix_view<T> GP = in_place ? P : car::matrix_view<T>(gp.data() + l.offset, 4, 5, l.row, l.col);
            const car::matrix_view<T> GC = in_place ? C : car::matrix_view<T>(gc.data() + l.offset, 4, 5, l.row, l.col);
            const auto result = car::loss(P, C, source.labels, sum, {.grad_p = GP, .grad_c = GC});
            CHECK(same_bits(result.value, plain.result.value));
            for (std::ptrdiff_t i = 0; i != 4; ++i)
                for (std::ptrdiff_t k = 0; k != 5; ++k) {
                    CHECK(same_bits(GP(i, k), plain.dp(i, k)));
                    CHECK(same_bits(GC(i, k), plain.dc(i, k)));
                }
        }
    }
    for (std::ptrdiff_t i = 0; i != 4; ++i) {
        std::vector<T> row(1);
        car::loss(car::default_backend, car::matrix_view<const T>(&source.p_at(i, 0), 1, 5), {&source.c_at(i, 0), 1, 5},
                  std::vector{source.labels[static_cast<std::size_t>(i)]}, sum, {.row_loss = row});
        CHECK(same_bits(row[0], plain.loss[static_cast<std::size_t>(i)]));
    }
}

TEST_CASE("every error names the argument, the value and what was expected, before anything is written") {
    using T = float;
    struct fault {
        const char* text;
        void (*call)(batch<T>&);
    };
    const auto P = [](batch<T>& b) { return car::matrix_view<const T>(b.p.data(), 4, 5); };
    static const auto view_p = P;
    using view = car::matrix_view<T>;
    const fault faults[] = {
        {"car::loss: label in row 1 is 5, expected 0 to 4 or ignore_index -100",
         [](batch<T>& b) {
             b.labels[1] = 5;
             b.run();
         }},
        {"car::loss: label in row 3 is -1, expected 0 to 4 or ignore_index -100",
         [](batch<T>& b) {
             b.labels[3] = -1;
             b.run();
         }},
        {"car::loss: labels has size 3, expected 4, one for each row",
         [](batch<T>& b) {
             b.labels.pop_back();
             b.run();
         }},
        {"car::loss: c has shape 5 x 4, expected 4 x 5",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 5, 4}, b.labels, {}, b.arrays());
         }},
        {"car::loss: c is null, expected 4 x 5 elements",
         [](batch<T>& b) {
             car::loss(view_p(b), {nullptr, 4, 5}, b.labels, {}, b.arrays());
         }},
        {"car::loss: c has shape 0 x 0, expected 4 x 5", [](batch<T>& b) { car::loss(view_p(b), {}, b.labels, {}, b.arrays()); }},
        {"car::loss: p is null, expected 4 x 5 elements",
         [](batch<T>& b) {
             car::loss(view(nullptr, 4, 5), {b.c.data(), 4, 5}, b.labels, {}, b.arrays());
         }},
        {"car::loss: p has shape 4 x 0, expected at least one column",
         [](batch<T>& b) {
             car::loss(view(b.p.data(), 4, 0), {b.c.data(), 4, 0}, b.labels, {}, b.arrays());
         }},
        {"car::loss: p has shape -4 x 5, expected no negative size",
         [](batch<T>& b) {
             car::loss(view(b.p.data(), -4, 5), {b.c.data(), -4, 5}, b.labels, {}, b.arrays());
         }},
        {"car::loss: p has shape 4611686018427387904 x 4, which is larger than memory",
         [](batch<T>& b) {
             car::loss(view(b.p.data(), std::ptrdiff_t(1) << 62, 4), {b.c.data(), 4, 5}, b.labels, {}, b.arrays());
         }},
        {"car::loss: grad_p has shape 4 x 4, expected 4 x 5",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.grad_p.data(), 4, 4}});
         }},
        {"car::loss: grad_c has shape 5 x 4, expected 4 x 5",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_c = {b.grad_c.data(), 5, 4}});
         }},
        {"car::loss: row_loss has shape 3 x 1, expected 4 x 1",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.row_loss = {b.loss.data(), 3}});
         }},
        {"car::loss: upstream has shape 2 x 1, expected 4 x 1",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.upstream = {b.p.data(), 2}});
         }},
        {"car::loss: grad_p overlaps c",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.c.data(), 4, 5}});
         }},
        {"car::loss: grad_p overlaps p",
         [](batch<T>& b) {
             b.p.resize(40);
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.p.data() + 1, 4, 5}});
         }},
        {"car::loss: grad_c overlaps grad_p",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.grad_p.data(), 4, 5}, .grad_c = {b.grad_p.data(), 4, 5}});
         }},
        {"car::loss: row_loss overlaps grad_p",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.grad_p.data(), 4, 5}, .row_loss = {b.grad_p.data(), 4}});
         }},
        {"car::loss: grad_p has strides that make its elements overlap",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {}, {.grad_p = {b.grad_p.data(), 4, 5, 2}});
         }},
        {"car::loss: alpha is nan, expected a finite number", [](batch<T>& b) { b.run({.alpha = no_number<double>}); }},
        {"car::loss: alpha is inf, expected a finite number", [](batch<T>& b) { b.run({.alpha = inf<double>}); }},
        {"car::loss: strength is inf, expected a finite number", [](batch<T>& b) { b.run({.strength = inf<double>}); }},
        {"car::loss: temperature is 0.000000, expected a positive number", [](batch<T>& b) { b.run({.temperature = 0}); }},
        {"car::loss: logit_scale is -1.000000, expected a positive number", [](batch<T>& b) { b.run({.logit_scale = -1}); }},
        {"car::loss: divisor is 0.000000, expected a positive number", [](batch<T>& b) { b.run({.divisor = 0.0}); }},
        {"car::loss: flow is one that kl_target::label does not have, expected full or stop_counterfactual",
         [](batch<T>& b) { b.run({.kl_target = car::kl_target::label, .flow = car::flow::stop_target}); }},
        {"car::loss: row_loss is null, expected N elements for reduction::none",
         [](batch<T>& b) {
             car::loss(view_p(b), {b.c.data(), 4, 5}, b.labels, {.reduction = car::reduction::none});
         }},
    };
    for (const fault& f : faults) {
        batch<T> b;
        CHECK(message_of([&] { f.call(b); }) == f.text);
        CHECK(b.untouched_everywhere());
    }
}

TEST_CASE("probabilities that are the logits themselves, and gradients in their place") {
    const std::vector<float> before{0.7f, 0.2f, 0.1f, 0.1f, 0.8f, 0.1f, 0.2f, 0.2f, 0.6f}, c{0, 1, 2, 1, 0, 1, 2, 2, 0};
    std::vector<float> p = before, apart(9);
    const car::matrix_view<float> P(p.data(), 3, 3);
    const car::matrix_view<const float> C(c.data(), 3, 3), labels(before.data(), 3, 3);
    const auto want = car::loss(labels, C, labels, {}, {.grad_p = {apart.data(), 3, 3}});
    const auto found = car::loss(P, C, car::matrix_view<const float>(P), {}, {.grad_p = P});
    CHECK(found.value == want.value);
    CHECK(found.correct == 3);
    CHECK(want.correct == 3);
    CHECK(p == apart);
}

TEST_CASE("labels of every integer type") {
    batch<double> b;
    const double want = b.run().result.value;
    const car::matrix_view<const double> P(b.p.data(), 4, 5), C(b.c.data(), 4, 5);
    CHECK(car::loss(P, C, std::vector<signed char>{0, 3, 4, 2}).value == want);
    CHECK(car::loss(P, C, std::vector<unsigned char>{0, 3, 4, 2}).value == want);
    CHECK(car::loss(P, C, std::vector<short>{0, 3, 4, 2}).value == want);
    CHECK(car::loss(P, C, std::vector<unsigned short>{0, 3, 4, 2}).value == want);
    CHECK(car::loss(P, C, std::array<unsigned, 4>{0, 3, 4, 2}).value == want);
    CHECK(car::loss(P, C, std::vector<long long>{0, 3, 4, 2}).value == want);
    const std::vector<unsigned long long> wide{0, 3, ~0ull, 2};
    CHECK(message_of([&] { car::loss(P, C, wide); }).starts_with("car::loss: label in row 2 is 9223372036854775807"));
    const std::vector<int> strided{0, 9, 3, 9, 4, 9, 2};
    CHECK(car::loss(P, C, car::vector_view<const int>(strided.data(), 4, 2)).value == want);
}
