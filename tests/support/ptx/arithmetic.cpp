// SPDX-License-Identifier: Apache-2.0
// add, mul, fma, ex2 and their like, of integers and of numbers.
#include "decode.hpp"

namespace ptx {

namespace {

/// a + b as the odd one of the two doubles around it, unless it is one: rounded to fewer bits it is the sum rounded once.
double odd_sum(double a, double b) {
    const double high = a + b, shift = high - a, low = (a - (high - shift)) + (b - shift);
    if (!std::isfinite(high) || low == 0 || (std::bit_cast<u64>(high) & 1) != 0) return high;
    return std::nextafter(high, low > 0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity());
}

// ---- numbers. `odd` is the result in double, odd if it is not exact; for what is rounded to a smaller type, or not to the nearest.

struct add {
    template <class T>
    T operator()(T a, T b) const {
        return a + b;
    }
    static double odd(double a, double b) { return odd_sum(a, b); }
};
struct sub {
    template <class T>
    T operator()(T a, T b) const {
        return a - b;
    }
    static double odd(double a, double b) { return odd_sum(a, -b); }
};
struct mul {
    template <class T>
    T operator()(T a, T b) const {
        return a * b;
    }
    static double odd(double a, double b) { return a * b; }
};
struct fma {
    template <class T>
    T operator()(T a, T b, T c) const {
        return std::fma(a, b, c);
    }
    static double odd(double a, double b, double c) { return odd_sum(a * b, c); }
};
struct neg {
    template <class T>
    T operator()(T a) const {
        return -a;
    }
    static double odd(double a) { return -a; }
};
struct abs {
    template <class T>
    T operator()(T a) const {
        return std::fabs(a);
    }
    static double odd(double a) { return std::fabs(a); }
};
template <bool largest, bool keeps_nan>
struct extreme_of {
    template <class T>
    T operator()(T a, T b) const {
        return extreme<largest, keeps_nan>(a, b);
    }
    static double odd(double a, double b) { return extreme<largest, keeps_nan>(a, b); }
};
struct divide {
    template <class T>
    T operator()(T a, T b) const {
        return a / b;
    }
};
struct reciprocal {
    template <class T>
    T operator()(T a) const {
        return 1 / a;
    }
};
struct square_root {
    template <class T>
    T operator()(T a) const {
        return std::sqrt(a);
    }
};
struct copy_sign {
    template <class T>
    T operator()(T sign, T magnitude) const {
        return std::copysign(magnitude, sign);
    }
};

template <class T, class>
using each_one = T;

template <class F>
struct plain {
    template <class... T>
    auto operator()(T... x) const {
        return number_or_nan(F{}(x...));
    }
};
template <class F>
struct flush {
    template <class... T>
    float operator()(T... x) const {
        return flushed(number_or_nan(F{}(flushed(x)...)));
    }
};
/// Into [0, 1]; NaN is 0.
template <class F>
struct saturate {
    template <class... T>
    float operator()(T... x) const {
        return std::fmin(std::fmax(F{}(x...), 0.f), 1.f);
    }
};
template <class F, rounding how>
struct directed {
    template <class... T>
    float operator()(T... x) const {
        return number_or_nan(static_cast<float>(round_to<float>(F::odd(x...), how)));
    }
};
template <class F, class T>
struct half {
    template <class... In>
    T operator()(In... x) const {
        return narrow<T>(F::odd(static_cast<double>(widen(x))...));
    }
};
/// Two halves in a register.
template <class F, class T>
struct two_halves {
    template <class... In>
    u32 operator()(In... x) const {
        const u32 low = half<F, T>{}(T{static_cast<u16>(x)}...).bits, high = half<F, T>{}(T{static_cast<u16>(x >> 16)}...).bits;
        return high << 16 | low;
    }
};

template <class F, std::size_t... K>
bool of_numbers(decoder& d, std::index_sequence<K...>) {
    constexpr bool rounds = requires { F::odd(static_cast<double>(K)...); };
    if (d.type() == "f64") {
        if (d.has("rz") || d.has("rm") || d.has("rp")) d.refuse("a rounding of f64");
        return d.make<double, plain<F>, each_one<double, std::index_sequence<K>>...>();
    }
    if (d.type() == "f32") {
        if constexpr (rounds) {
            if (d.has("rm") || (d.has("ftz") && (d.has("rz") || d.has("rp")))) d.refuse("a rounding downwards, or one with ftz");
            if (d.has("rz")) return d.make<float, directed<F, rounding::zero>, each_one<float, std::index_sequence<K>>...>();
            if (d.has("rp")) return d.make<float, directed<F, rounding::up>, each_one<float, std::index_sequence<K>>...>();
        }
        if (d.has("ftz") && d.has("sat")) return d.make<float, saturate<flush<F>>, each_one<float, std::index_sequence<K>>...>();
        if (d.has("ftz")) return d.make<float, flush<F>, each_one<float, std::index_sequence<K>>...>();
        if (d.has("sat")) return d.make<float, saturate<plain<F>>, each_one<float, std::index_sequence<K>>...>();
        return d.make<float, plain<F>, each_one<float, std::index_sequence<K>>...>();
    }
    if constexpr (rounds) {
        if (d.has("ftz") || d.has("sat")) d.refuse("a modifier of a half");
        if (d.type() == "f16") return d.make<f16, half<F, f16>, each_one<f16, std::index_sequence<K>>...>();
        if (d.type() == "bf16") return d.make<bf16, half<F, bf16>, each_one<bf16, std::index_sequence<K>>...>();
        if (d.type() == "f16x2") return d.make<u32, two_halves<F, f16>, each_one<u32, std::index_sequence<K>>...>();
        if (d.type() == "bf16x2") return d.make<u32, two_halves<F, bf16>, each_one<u32, std::index_sequence<K>>...>();
    }
    return false;
}
template <class F, std::size_t count>
bool of_numbers(decoder& d) {
    return of_numbers<F>(d, std::make_index_sequence<count>());
}

// ---- integers, modulo 2^n

struct add_integers {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(static_cast<u64>(a) + static_cast<u64>(b));
    }
};
struct sub_integers {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(static_cast<u64>(a) - static_cast<u64>(b));
    }
};
struct mul_low {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(static_cast<u64>(a) * static_cast<u64>(b));
    }
};
struct mul_high {
    template <class T>
    T operator()(T a, T b) const {
        __extension__ using wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
        return static_cast<T>(static_cast<wide>(a) * static_cast<wide>(b) >> 8 * sizeof(T));
    }
};
template <class Wide>
struct mul_wide {
    template <class T>
    Wide operator()(T a, T b) const {
        return static_cast<Wide>(static_cast<Wide>(a) * static_cast<Wide>(b));
    }
};
template <class Product>
struct with_sum {
    template <class T, class Wide>
    Wide operator()(T a, T b, Wide c) const {
        return add_integers{}(static_cast<Wide>(Product{}(a, b)), c);
    }
};
struct div_integers {
    template <class T>
    T operator()(T a, T b) const {
        if (b == 0) return static_cast<T>(-1);
        if (std::is_signed_v<T> && b == static_cast<T>(-1)) return sub_integers{}(T(0), a);
        return static_cast<T>(a / b);
    }
};
struct rem_integers {
    template <class T>
    T operator()(T a, T b) const {
        return b == 0 ? a : sub_integers{}(a, mul_low{}(div_integers{}(a, b), b));
    }
};
struct neg_integer {
    template <class T>
    T operator()(T a) const {
        return sub_integers{}(T(0), a);
    }
};
struct abs_integer {
    template <class T>
    T operator()(T a) const {
        return a < 0 ? neg_integer{}(a) : a;
    }
};
template <bool largest>
struct extreme_integer {
    template <class T>
    T operator()(T a, T b) const {
        return (a < b) == largest ? b : a;
    }
};

template <class F>
bool of_integers(decoder& d, bool one_operand = false) {
    return with_type<u16, i16, u32, i32, u64, i64>(d.type(), [&](auto type) {
        using T = decltype(type);
        if constexpr (requires { F{}(type); }) {
            if (one_operand) d.make<T, F, T>();
        }
        if constexpr (requires { F{}(type, type); }) {
            if (!one_operand) d.make<T, F, T, T>();
        }
    });
}

/// mul and mad: the low half of the product, the high one, or all of it.
bool products(decoder& d) {
    const bool sum = d.name() == "mad";
    const auto chosen = [&]<class Product, class T, class Wide>(Product, T, Wide) {
        if (sum)
            d.make<Wide, with_sum<Product>, T, T, Wide>();
        else
            d.make<Wide, Product, T, T>();
    };
    if (d.has("wide"))
        return with_type<u16, i16, u32, i32>(d.type(), [&](auto type) {
            using T = decltype(type);
            using Unsigned = std::conditional_t<sizeof(T) == 2, u32, u64>;
            using Wide = std::conditional_t<std::is_signed_v<T>, std::make_signed_t<Unsigned>, Unsigned>;
            chosen(mul_wide<Wide>{}, type, Wide());
        });
    return with_type<u16, i16, u32, i32, u64, i64>(d.type(), [&](auto type) {
        if (d.has("hi"))
            chosen(mul_high{}, type, type);
        else
            chosen(mul_low{}, type, type);
    });
}

// ---- what a GPU approximates

struct exponential {
    static double value(double x) { return std::exp2(x); }
    static double error(double y, double relative) { return y == 1 ? 0 : y * relative; } // of 0, the only power that is exact
};
struct logarithm {
    static double value(double x) { return std::log2(x); }
    static double error(double y, double relative) { return std::fabs(y) < 1 ? relative : y * relative; } // absolute around x = 1
};
struct inverse {
    static double value(double x) { return 1 / x; }
    static double error(double y, double relative) { return y * relative; }
};
struct root {
    static double value(double x) { return std::sqrt(x); }
    static double error(double y, double relative) { return y * relative; }
};
struct inverse_root {
    static double value(double x) { return 1 / std::sqrt(x); }
    static double error(double y, double relative) { return y * relative; }
};
struct hyperbolic_tangent {
    static double value(double x) { return std::tanh(x); }
    static double error(double y, double relative) { return y * relative; }
};
struct quotient {
    static double value(double x, double y) { return x / y; }
    static double error(double z, double relative) { return z * relative; }
};

/// Up or down as the bits of the input decide: the same for the same input.
double sign_of(u32 bits) { return (bits * 2654435761u >> 16 & 1) != 0 ? 1 : -1; }

template <class F, bool flushes, class... In>
void approximate(warp& w, const instruction& i, lanes on) {
    const double relative = w.in->in->how->perturbation;
    each(on, [&](unsigned lane) {
        const auto one = [&](float x) { return static_cast<double>(flushes ? flushed(x) : x); };
        [&]<std::size_t... K>(std::index_sequence<K...>) {
            double y = F::value(one(get<In>(w, i.in[K], lane))...);
            if (relative != 0 && std::isfinite(y)) y += F::error(y, relative * sign_of(get<u32>(w, i.in[0], lane)));
            const auto rounded = number_or_nan(static_cast<float>(y));
            put<float>(w, i.out, lane, flushes ? flushed(rounded) : rounded);
        }
        (std::index_sequence_for<In...>());
    });
}
template <class F, class... In>
bool approximation(decoder& d) {
    if (d.type() != "f32") d.refuse("an approximation of " + d.type());
    d.make<float, std::conditional_t<sizeof...(In) == 1, neg, add>, In...>(); // the operands' places
    d.made.run = d.has("ftz") ? approximate<F, true, In...> : approximate<F, false, In...>;
    return true;
}

/// The upper half of a double: the first step of a division.
template <class F>
struct upper_half {
    double operator()(double x) const { return std::bit_cast<double>(std::bit_cast<u64>(F::value(x)) >> 32 << 32); }
};

} // namespace

bool decode_arithmetic(decoder& d) {
    const std::string& n = d.name();
    const std::string& t = d.type();
    const bool is_integer = (t[0] == 's' || t[0] == 'u' || (t[0] == 'b' && t[1] != 'f')) && t.size() <= 3;
    if (n == "add" || n == "sub" || n == "mul" || n == "mad" || n == "fma" || n == "div" || n == "rem" || n == "neg" || n == "abs" ||
        n == "min" || n == "max")
        d.only({"rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "lo", "hi", "wide", "NaN"});

    if (is_integer) {
        if ((n == "add" || n == "sub" || n == "mad") && d.has("sat")) d.refuse("saturation of integers");
        if (n == "add") return of_integers<add_integers>(d);
        if (n == "sub") return of_integers<sub_integers>(d);
        if (n == "mul" || n == "mad") return products(d);
        if (n == "div") return of_integers<div_integers>(d);
        if (n == "rem") return of_integers<rem_integers>(d);
        if (n == "neg") return of_integers<neg_integer>(d, true);
        if (n == "abs") return of_integers<abs_integer>(d, true);
        if (n == "min") return of_integers<extreme_integer<false>>(d);
        if (n == "max") return of_integers<extreme_integer<true>>(d);
        return false;
    }
    if (n == "add") return of_numbers<add, 2>(d);
    if (n == "sub") return of_numbers<sub, 2>(d);
    if (n == "mul") return of_numbers<mul, 2>(d);
    if (n == "fma" || n == "mad") return of_numbers<fma, 3>(d);
    if (n == "neg") return of_numbers<neg, 1>(d);
    if (n == "abs") return of_numbers<abs, 1>(d);
    if (n == "min") return d.has("NaN") ? of_numbers<extreme_of<false, true>, 2>(d) : of_numbers<extreme_of<false, false>, 2>(d);
    if (n == "max") return d.has("NaN") ? of_numbers<extreme_of<true, true>, 2>(d) : of_numbers<extreme_of<true, false>, 2>(d);
    if (n == "copysign") return of_numbers<copy_sign, 2>(d);

    const bool approx = d.has("approx") || d.has("full");
    if ((n == "rcp" || n == "rsqrt") && approx && t == "f64")
        return n == "rcp" ? d.make<double, upper_half<inverse>, double>() : d.make<double, upper_half<inverse_root>, double>();
    if (n == "div") return approx ? approximation<quotient, float, float>(d) : of_numbers<divide, 2>(d);
    if (n == "rcp") return approx ? approximation<inverse, float>(d) : of_numbers<reciprocal, 1>(d);
    if (n == "sqrt") return approx ? approximation<root, float>(d) : of_numbers<square_root, 1>(d);
    if (n == "rsqrt") return approximation<inverse_root, float>(d);
    if (n == "ex2") return approximation<exponential, float>(d);
    if (n == "lg2") return approximation<logarithm, float>(d);
    if (n == "tanh") return approximation<hyperbolic_tangent, float>(d);
    return false;
}

} // namespace ptx
