// SPDX-License-Identifier: Apache-2.0
// The library's own functions within their bounds: on every CAR_EVERY-th float there is, on random doubles, and on pairs of doubles. And
// the two-byte types against what they are defined as.
#include <car/detail/double_double.hpp>
#include <car/detail/elementary.hpp>
#include <car/float_types.hpp>

#include "support/random.hpp"
#include "support/row_reference.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <thread>
#include <vector>

using car::detail::double_double;
using reference::wide;

namespace {

/// The distance of doubles near a value: that of the least normal number, where it is less.
double ulp(double value) {
    int exponent = 0;
    std::frexp(value, &exponent);
    return std::ldexp(1, std::max(exponent - 53, -1074));
}

struct function {
    const char* name;
    double bound; // ulp
    double (*own)(double);
    wide (*exact)(wide);
    long double (*quick)(long double); // good to a thousandth of an ulp of double, and 50 times faster
    bool (*defined)(double);
    bool is_per_element = true;
};

wide exact_log1p_minus(wide z) {
    wide sum = 0, power = -z; // -z^2/2 + z^3/3 - ...
    for (int k = 2; k != 130; ++k) {
        power *= -z;
        sum -= power / k;
    }
    return sum;
}

long double quick_phi(long double t) {
    if (std::abs(t) > 0.5L) return std::expm1(-t) + t;
    static const std::vector<long double> inverse_factorials = [] {
        std::vector<long double> values{1};
        for (int k = 1; k != 19; ++k) values.push_back(values.back() / k);
        return values;
    }();
    long double sum = 0;
    for (std::size_t k = 18; k != 1; --k) sum = inverse_factorials[k] - t * sum;
    return sum * t * t;
}

long double quick_log1p_minus(long double z) {
    long double sum = 0;
    for (int k = 80; k != 1; --k) sum = 1.0L / k - z * sum;
    return -z * z * sum;
}

const function functions[] = {
    {"exp", 1, car::detail::exp, [](wide x) { return expq(x); }, [](long double x) { return std::exp(x); }, [](double) { return true; }},
    {"expm1", 2, car::detail::expm1, [](wide x) { return expm1q(x); }, [](long double x) { return std::expm1(x); },
     [](double) { return true; }},
    {"log", 1, car::detail::log, [](wide x) { return logq(x); }, [](long double x) { return std::log(x); }, [](double x) { return x > 0; },
     false},
    {"log1p", 1, car::detail::log1p, [](wide x) { return log1pq(x); }, [](long double x) { return std::log1p(x); },
     [](double x) { return x > -1; }},
    {"phi", 3, car::detail::phi, reference::phi, quick_phi, [](double) { return true; }},
    {"log1p_minus", 4, car::detail::log1p_minus, exact_log1p_minus, quick_log1p_minus, [](double x) { return std::abs(x) <= 0.5; }, false},
    {"tanh", 4, car::detail::tanh, [](wide x) { return -expm1q(-2 * x) / (1 + expq(-2 * x)); }, [](long double x) { return std::tanh(x); },
     [](double x) { return std::abs(x) < 5000; }, false},
};

/// The error in ulp of the exact value; 0 where that is no double.
template <class Exact>
double error_of(double got, Exact exact) {
    const auto want = static_cast<double>(exact);
    if (!std::isfinite(want)) return got == want ? 0 : HUGE_VAL;
    const auto error = static_cast<Exact>(got) - exact;
    const double worst = static_cast<double>(error < 0 ? -error : error) / ulp(want);
    return std::isnan(worst) ? HUGE_VAL : worst;
}

double worst_over_floats(const function& f, std::uint64_t first, std::uint64_t step) {
    double worst = 0;
    for (std::uint64_t bits = first; bits < std::uint64_t{1} << 32; bits += step) {
        const double x = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        if (std::isfinite(x) && f.defined(x)) worst = std::max(worst, error_of(f.own(x), f.quick(static_cast<long double>(x))));
    }
    return worst;
}

} // namespace

TEST_CASE("own functions over the floats") {
    for (const function& f : functions) {
        const std::uint64_t step = types::exhaustive() && f.is_per_element ? 1 : types::every();
        std::vector<double> worst(2);
        std::thread other([&] { worst[1] = worst_over_floats(f, step, 2 * step); });
        worst[0] = worst_over_floats(f, 0, 2 * step);
        other.join();
        MESSAGE(std::string(f.name) << ": " << std::max(worst[0], worst[1]) << " ulp over floats");
        CHECK(std::max(worst[0], worst[1]) <= f.bound);
    }
}

TEST_CASE("own functions over random doubles, against 113-bit arithmetic") {
    for (const function& f : functions) {
        cases::generator random(23);
        double worst = 0;
        for (int trial = 0; trial != 60000; ++trial) {
            const double magnitude = std::exp2(-60 + 70 * random.uniform()), x = random() & 1 ? magnitude : -magnitude;
            const double at = std::string(f.name) == "log1p_minus" ? std::fmod(x, 0.5) : x;
            if (at != 0 && f.defined(at)) worst = std::max(worst, error_of(f.own(at), f.exact(static_cast<wide>(at))));
        }
        MESSAGE(std::string(f.name) << ": " << worst << " ulp over doubles");
        CHECK(worst <= f.bound);
    }
}

TEST_CASE("own functions where there is no number") {
    const double inf = HUGE_VAL, nan = std::nan(""), least = 0x1p-1074;
    namespace own = car::detail;
    for (const function& f : functions) {
        CHECK(std::isnan(f.own(nan)));
        CHECK(std::isnan(f.own(-nan)));
    }
    CHECK(own::exp(-inf) == 0);
    CHECK(own::exp(inf) == inf);
    CHECK(own::exp(709.8) == inf);
    CHECK(own::exp(-745.2) == 0);
    CHECK(own::exp(-745.1) == least);
    CHECK(own::exp(0) == 1);
    CHECK(own::expm1(-inf) == -1);
    CHECK(own::expm1(inf) == inf);
    CHECK(own::expm1(least) == least);
    CHECK(own::log(0) == -inf);
    CHECK(own::log(inf) == inf);
    CHECK(std::isnan(own::log(-1)));
    CHECK(own::log(1) == 0);
    CHECK(own::log1p(-1) == -inf);
    CHECK(std::isnan(own::log1p(-1.5)));
    CHECK(own::log1p(inf) == inf);
    CHECK(own::log1p(-least) == -least);
    CHECK(own::phi(0) == 0);
    CHECK(own::phi(inf) == inf);
    CHECK(own::phi(-inf) == inf);
    CHECK(own::tanh(inf) == 1);
    CHECK(own::tanh(-inf) == -1);
    CHECK(own::tanh(0) == 0);
}

TEST_CASE("pairs of doubles: 2^-95 of the exact value") {
    struct pair_function {
        const char* name;
        double_double (*own)(const double_double&);
        wide (*exact)(wide);
        double lowest, highest;
    };
    const pair_function pairs[] = {
        {"exp", car::detail::exp, [](wide x) { return expq(x); }, -700, 700},
        {"expm1", car::detail::expm1, [](wide x) { return expm1q(x); }, -700, 700},
        {"log1p", car::detail::log1p, [](wide x) { return log1pq(x); }, -0.999, 1e9},
        {"log1p_minus", car::detail::log1p_minus, exact_log1p_minus, -0.5, 0.5},
        {"phi", [](const double_double& t) { return car::detail::curve_of(t).phi; }, reference::phi, -700, 700},
        {"fall", [](const double_double& t) { return car::detail::curve_of(t).fall; }, [](wide t) { return -expm1q(-t); }, -700, 700},
    };
    for (const pair_function& f : pairs) {
        cases::generator random(29);
        double worst = 0;
        for (int trial = 0; trial != 20000; ++trial) {
            const double magnitude = std::exp2(-60 + 90 * random.uniform()), x = random() & 1 ? magnitude : -magnitude;
            if (x < f.lowest || x > f.highest) continue;
            const double low = x * 0x1p-54 * random.uniform();
            const wide want = f.exact(static_cast<wide>(x) + static_cast<wide>(low));
            const double_double got = f.own(double_double(x, low));
            const wide error = static_cast<wide>(got.high) + static_cast<wide>(got.low) - want;
            if (std::abs(static_cast<double>(want)) > 1e-250) // the low part is a normal number
                worst = std::max(worst, static_cast<double>(reference::magnitude(error / want)));
        }
        MESSAGE(std::string(f.name) << ": 2^" << std::log2(worst));
        CHECK(worst <= 0x1p-95);
    }
}

TEST_CASE("pairs of doubles: sums, products and quotients within 2^-102") {
    cases::generator random(37);
    double worst = 0;
    for (int trial = 0; trial != 100000; ++trial) {
        const auto pair = [&] {
            const double high = std::ldexp(random.uniform() + 0.5, static_cast<int>(random.below(40)) - 20);
            return double_double(high, high * 0x1p-54 * (2 * random.uniform() - 1));
        };
        const double_double a = pair(), b = pair();
        const auto value = [](const double_double& x) { return static_cast<wide>(x.high) + static_cast<wide>(x.low); };
        for (const auto& [got, want] : {std::pair{a + b, value(a) + value(b)},
                                        {a * b, value(a) * value(b)},
                                        {a / b, value(a) / value(b)},
                                        {a * b.high, value(a) * static_cast<wide>(b.high)},
                                        {a / b.high, value(a) / static_cast<wide>(b.high)}})
            worst = std::max(worst, static_cast<double>(reference::magnitude((value(got) - want) / want)));
    }
    MESSAGE("2^" << std::log2(worst));
    CHECK(worst <= 0x1p-102);
}

namespace {

/// The nearest of all numbers of a type, ties to the even one; found by looking at every one.
template <class T>
std::uint16_t nearest(double value, const std::vector<double>& numbers) {
    const double magnitude = std::abs(value);
    const auto above = static_cast<std::size_t>(std::lower_bound(numbers.begin(), numbers.end(), magnitude) - numbers.begin());
    std::size_t best = std::min(above, numbers.size() - 1);
    if (best != 0) {
        const double up = numbers[best] - magnitude, down = magnitude - numbers[best - 1];
        if (down < up || (down == up && (best - 1) % 2 == 0)) --best;
    }
    return static_cast<std::uint16_t>(best | (std::signbit(value) ? 0x8000 : 0));
}

} // namespace

TEST_CASE_TEMPLATE("two-byte types: every number comes back, every double goes to the nearest", T, car::bfloat16, car::float16) {
    std::vector<double> numbers; // those that are not negative, then the one that would follow the largest, which is infinity
    for (std::uint32_t bits = 0; bits != 0x8000; ++bits) {
        const double value = static_cast<double>(static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits))));
        if (!std::isfinite(value)) break;
        numbers.push_back(value);
    }
    using limits = std::numeric_limits<T>;
    CHECK(limits::digits == (std::is_same_v<T, car::bfloat16> ? 8 : 11));
    CHECK(static_cast<float>(limits::min()) == std::ldexp(1.0f, limits::min_exponent - 1));
    CHECK(static_cast<double>(static_cast<float>(limits::min())) <= std::pow(10.0, limits::min_exponent10));
    CHECK(static_cast<double>(static_cast<float>(limits::min())) > std::pow(10.0, limits::min_exponent10 - 1));
    CHECK(static_cast<float>(limits::lowest()) == -static_cast<float>(limits::max()));
    CHECK(T(1 + static_cast<double>(limits::epsilon())).bits() == T(1).bits() + 1);
    CHECK(static_cast<float>(limits::epsilon()) == std::ldexp(1.0f, 1 - limits::digits));
    CHECK(std::isinf(static_cast<float>(limits::infinity())));
    CHECK(std::isnan(static_cast<float>(limits::quiet_NaN())));
    CHECK(numbers[1] == types::limits<T>::least);
    CHECK(numbers.back() == types::limits<T>::most);
    numbers.push_back(2 * numbers.back() - numbers[numbers.size() - 2]);
    CHECK(std::isinf(static_cast<float>(T::from_bits(static_cast<std::uint16_t>(numbers.size() - 1)))));

    for (std::uint32_t bits = 0; bits != 0x10000; ++bits) {
        const T value = T::from_bits(static_cast<std::uint16_t>(bits));
        const auto wider = static_cast<double>(static_cast<float>(value));
        if (std::isnan(wider))
            CHECK(std::isnan(static_cast<float>(T(wider))));
        else
            CHECK(T(wider).bits() == bits);
    }
    cases::generator random(41);
    for (int trial = 0; trial != 400000; ++trial) {
        // Every exponent, and halfway between two numbers, there and a little beside it.
        double value = std::ldexp(random.uniform() - 0.5, static_cast<int>(random.below(310)) - 160);
        if (trial % 2) {
            const std::size_t at = random.below(numbers.size() - 1);
            value = numbers[at] + (numbers[at + 1] - numbers[at]) / 2;
            if (trial % 3 != 0) value = std::nextafter(value, trial % 3 == 1 ? 0 : HUGE_VAL);
        }
        CAPTURE(value);
        REQUIRE(T(value).bits() == nearest<T>(value, numbers));
    }
    CHECK(static_cast<float>(T(HUGE_VAL)) == HUGE_VALF);
    CHECK(static_cast<float>(T(-1e300)) == -HUGE_VALF);
}
