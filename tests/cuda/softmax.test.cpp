// SPDX-License-Identifier: Apache-2.0
// Softmax and corrected prediction on a device within their bounds, on every kernel, and what they make of special values.
#include <car/cuda.hpp>

#include "support/device_memory.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace {

using number = long double;

/// Two matrices of rows, one after the other, and what a call writes of them.
template <class T>
struct rows_of {
    using term = car::term_of<T>;

    std::size_t rows, cols, offset;
    std::vector<T> p, c, y, z;
    std::vector<term> sums;

    rows_of(std::size_t count, std::size_t columns, double size, std::size_t shift, bool probabilities = false)
        : rows(count), cols(columns), offset(shift), p(count * columns), c(p), y(p), z(p), sums(count) {
        cases::generator random(columns);
        for (T& v : p) v = static_cast<T>(probabilities ? random.uniform() : size * random.normal());
        for (T& v : c) v = static_cast<T>(2 * random.normal());
    }
    /// call(stream, p, c, y, z, sums)
    template <class Call>
    void run(Call call) {
        const device_memory::stream stream;
        const device_memory::array<T> from_p(p, stream, offset), from_c(c, stream, offset), to_y(y, stream, offset),
            to_z(z, stream, offset);
        const device_memory::array<term> to_sums(sums, stream);
        const auto view = [&](const device_memory::array<T>& a) { return a.view(rows, cols, cols); };
        const car::launch_status status = call(car::cuda.on(stream), view(from_p), view(from_c), view(to_y), view(to_z), to_sums.view());
        REQUIRE_MESSAGE(status.ok(), std::string(status.reason));
        stream.wait();
        y = to_y.values(), z = to_z.values(), sums = to_sums.values();
    }
    number at(const std::vector<T>& m, std::size_t i, std::size_t k) const { return static_cast<double>(m[i * cols + k]); }

    /// d = p - strength c of row i, its maximum and sum of exp(d - max).
    struct summary {
        std::vector<number> d;
        number max = -HUGE_VALL, rest = 0;
    };
    summary row(std::size_t i, number strength) const {
        summary s;
        std::size_t peak = 0;
        for (std::size_t k = 0; k != cols; ++k) {
            s.d.push_back(at(p, i, k) - strength * at(c, i, k));
            if (s.d[k] > s.max) s.max = s.d[k], peak = k;
        }
        for (std::size_t k = 0; k != cols; ++k)
            if (k != peak) s.rest += expl(s.d[k] - s.max);
        return s;
    }
};

template <class T>
number allowed(number value, number scale) {
    using term = car::term_of<T>;
    return 4 * static_cast<number>(types::u<term>) * scale + 2 * static_cast<number>(types::limits<T>::least_normal) +
           types::storage_error<T>(std::abs(value));
}

template <class T>
void check_softmax(std::size_t rows, std::size_t cols, double size, std::size_t shift, double strength) {
    CAPTURE(cols);
    rows_of<T> all(rows, cols, size, shift);
    number worst = 0;
    const auto share = [&](number got, number want, number scale) {
        worst = std::max(worst, std::abs(got - want) / allowed<T>(want, scale));
    };
    const auto each = [&](number factor, auto check) {
        for (std::size_t i = 0; i != rows; ++i) {
            const auto row = all.row(i, factor);
            for (std::size_t k = 0; k != cols; ++k) check(row, i, k);
        }
    };

    all.run([](auto on, auto p, auto, auto y, auto, auto) { return car::softmax(on, p, y); });
    each(0, [&](const auto& row, std::size_t i, std::size_t k) {
        const number want = expl(row.d[k] - row.max) / (1 + row.rest);
        share(all.at(all.y, i, k), want, want);
    });
    CHECK(worst <= 1);

    worst = 0;
    all.run([&](auto on, auto p, auto c, auto y, auto, auto) { return car::corrected_softmax(on, p, c, y, {.strength = strength}); });
    each(strength, [&](const auto& row, std::size_t i, std::size_t k) {
        const number want = expl(row.d[k] - row.max) / (1 + row.rest);
        share(all.at(all.y, i, k), want, want);
    });
    CHECK(worst <= 1);

    worst = 0;
    all.run([](auto on, auto p, auto, auto, auto, auto) { return car::log_softmax(on, p, p); }); // in place: y stays
    all.run([](auto on, auto p, auto, auto y, auto, auto) { return car::log_softmax(on, p, y); });
    each(0, [&](const auto& row, std::size_t i, std::size_t k) {
        const number want = (row.d[k] - row.max) - log1pl(row.rest);
        share(all.at(all.y, i, k), want, std::abs(want));
    });
    CHECK(worst <= 1);

    all.run([](auto on, auto p, auto, auto, auto, auto sums) { return car::log_sum_exp(on, p, sums); });
    for (std::size_t i = 0; i != rows; ++i) {
        const auto row = all.row(i, 0);
        const number want = row.max + log1pl(row.rest), u = types::u<typename rows_of<T>::term>;
        CHECK(std::abs(all.sums[i] - want) <= 4 * u * (std::abs(row.max) + std::abs(want)));
    }
}

template <class T>
void check_vjp(std::size_t rows, std::size_t cols, std::size_t shift) {
    CAPTURE(cols);
    rows_of<T> all(rows, cols, 1, shift, true);
    for (std::size_t i = 0; i != rows; ++i) { // probabilities, one of them 0 with a slope that has no number
        number sum = 0;
        for (std::size_t k = 0; k != cols; ++k) sum += all.at(all.p, i, k);
        for (std::size_t k = 0; k != cols; ++k) all.p[i * cols + k] = static_cast<T>(static_cast<double>(all.at(all.p, i, k) / sum));
        if (cols > 1) all.p[i * cols] = static_cast<T>(0.0), all.c[i * cols] = static_cast<T>(NAN);
    }
    all.run([](auto on, auto p, auto c, auto y, auto z, auto) {
        return car::corrected_softmax_vjp(on, p, c, {.grad_p = y, .grad_c = z}, {.strength = 1.5, .temperature = 0.5});
    });
    for (std::size_t i = 0; i != rows; ++i) {
        number mean = 0, mass = 0, scale = 0;
        for (std::size_t k = 0; k != cols; ++k) {
            if (all.at(all.p, i, k) == 0) continue;
            mean += all.at(all.p, i, k) * all.at(all.c, i, k);
            mass += all.at(all.p, i, k);
            scale += std::abs(all.at(all.p, i, k) * all.at(all.c, i, k));
        }
        number worst = 0;
        for (std::size_t k = 0; k != cols; ++k) {
            const number y = all.at(all.p, i, k), g = y == 0 ? 0 : all.at(all.c, i, k), want = 2 * y * (g - mean / mass);
            const number size = 2 * y * (std::abs(g) + scale / mass);
            worst = std::max(worst, std::abs(all.at(all.y, i, k) - want) / allowed<T>(want, size));
            worst = std::max(worst, std::abs(all.at(all.z, i, k) + 1.5L * want) / allowed<T>(1.5L * want, 1.5L * size));
        }
        CHECK(worst <= 1);
    }
}

} // namespace

TEST_CASE_TEMPLATE("softmax and its logarithm, corrected softmax", T, float, double, car::bfloat16, car::float16) {
    check_softmax<T>(130, 10, 3, 0, 1);
    check_softmax<T>(3, 61, 30, 1, 0.3);
    check_softmax<T>(3, 400, 3, 0, -2);
    check_softmax<T>(2, 1000, 3, 0, 1.7);
    check_softmax<T>(2, 10240, 3, 0, 1);
    check_softmax<T>(1, 60000, 3, 0, 1);
}

TEST_CASE_TEMPLATE("vector-Jacobian product of the corrected softmax", T, float, double, car::bfloat16, car::float16) {
    check_vjp<T>(130, 10, 0);
    check_vjp<T>(2, 61, 1);
    check_vjp<T>(2, 1000, 0);
    check_vjp<T>(1, 60000, 0);
}

TEST_CASE_TEMPLATE("special values", T, float, double, car::bfloat16, car::float16) {
    const double inf = HUGE_VAL, no_number = NAN;
    rows_of<T> all(6, 5, 1, 0);
    const auto set = [&](std::size_t i, std::vector<double> p, std::vector<double> c) {
        for (std::size_t k = 0; k != 5; ++k) all.p[i * 5 + k] = static_cast<T>(p[k]), all.c[i * 5 + k] = static_cast<T>(c[k]);
    };
    set(1, {1, no_number, 2, 3, 4}, {0, 0, 0, 0, 0});
    set(2, {1, inf, 2, 3, 4}, {0, 0, 0, 0, 0});
    set(3, {-inf, -inf, -inf, -inf, -inf}, {0, 0, 0, 0, 0});
    set(4, {-inf, 1, 2, -inf, 0}, {no_number, 0, 0, inf, inf}); // the c of a masked class is not read
    all.run([](auto on, auto p, auto c, auto y, auto z, auto sums) {
        const car::launch_status first = car::softmax(on, p, y), second = car::corrected_softmax(on, p, c, z);
        const car::launch_status third = car::log_sum_exp(on, p, sums);
        return !first.ok() ? first : !second.ok() ? second : third;
    });
    for (const std::size_t i : {1u, 2u, 3u})
        for (std::size_t k = 0; k != 5; ++k) {
            CHECK(std::isnan(static_cast<double>(all.y[i * 5 + k])));
            CHECK(std::isnan(static_cast<double>(all.z[i * 5 + k])));
        }
    CHECK(std::isnan(all.sums[1]));
    CHECK(all.sums[2] == inf);
    CHECK(all.sums[3] == -inf);
    for (const std::size_t k : {0u, 3u, 4u}) CHECK(all.at(all.z, 4, k) == 0);
    CHECK(all.at(all.z, 4, 2) == doctest::Approx(0.7310586).epsilon(0.01));
    CHECK(all.at(all.y, 4, 0) == 0);
    for (const std::size_t i : {0u, 5u}) CHECK(std::isfinite(all.sums[i]));
}
