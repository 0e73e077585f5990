// Exponentials, phi and logarithms of registers.

/// A polynomial by Horner's rule, its lowest coefficient first.
template <class Scalar, std::size_t Size, class Vector>
[[gnu::always_inline]] inline Vector polynomial(const Scalar (&coefficients)[Size], const Vector& x) {
    Vector value = splat(coefficients[Size - 1]);
    for (std::size_t k = Size - 1; k != 0; --k) value = fma(value, x, splat(coefficients[k - 1]));
    return value;
}

/// x = n ln 2 + r with an integer n, or an even one: |r| <= ln 2 / 2, or ln 2. r is as good as one rounding of its own size allows: that
/// n may be taken from a large x is what makes a softmax of large logits exact.
template <class Vector>
struct reduced {
    Vector n, r;
};
template <class Scalar, int Step, class Vector>
[[gnu::always_inline]] inline reduced<Vector> reduce(const Vector& x) {
    using constant = constants<Scalar>;
    constexpr Scalar step = Step;
    const Vector n = (fma(x, splat(constant::log2_e / step), splat(constant::rounder)) - constant::rounder) * step;
    const Vector r = fma(n, splat(-constant::ln2_high), x);
    return {n, fma(n, splat(-constant::ln2_low), r)};
}

/// exp(x - origin) 2^-reference of an x above `floor`; below it, less than can be told from 0. With an origin of 0 and an integer for the
/// maximum, floats need no subtraction, and no rounding of it.
template <class Scalar>
struct exponential {
    typename vector_of<Scalar>::type floor, origin, reference;

    template <class Vector>
    [[gnu::always_inline]] Vector operator()(const Vector& x) const {
        const Vector above = max(floor, x); // which keeps a NaN
        const auto [n, r] = reduce<Scalar, 1>(std::is_same_v<Scalar, double> ? above - origin : above);
        const Vector value = fma(fma(polynomial(constants<Scalar>::near_tail, r), r, splat(Scalar(1))), r, splat(Scalar(1)));
        const Vector scaled = scale(value, n - reference);
        return x < floor ? Vector{} : scaled;
    }
};

/// phi(d) = exp(-d) - 1 + d and rise = exp(-d) - 1. Where d is near 0 neither cancels: n is 0, and phi is the tail alone.
template <class Vector>
struct curve {
    Vector phi, rise;
};
template <class Scalar, class Vector>
[[gnu::always_inline]] inline curve<Vector> curve_of(const Vector& d) {
    const Vector x = -d;
    const auto [n, r] = reduce<Scalar, 2>(max(splat(Scalar(-128)), x));
    const Vector tail = r * r * polynomial(constants<Scalar>::tail, r);
    const Vector power = scale(splat(Scalar(1)), n);
    const Vector rise = fma(power, r + tail, power - Scalar(1));
    return {n == Scalar(0) ? tail : rise - x, rise};
}

/// log(2^k (1 + f)), 1 + f within a factor of sqrt 2 of 1: f is kept as it is, so that the logarithm of a number near 1 is exact.
[[gnu::always_inline]] inline doubles log_of(const doubles& k, const doubles& f) {
    const doubles s = f / (f + 2.0), s2 = s * s, half = 0.5 * f * f;
    doubles r = {};
    for (int j = 9; j != 0; --j) r = s2 * (r + 2.0 / (2 * j + 1));
    return fma(k, splat(detail::ln2_high), f - (half - fma(k, splat(detail::ln2_low), s * (half + r))));
}

/// A positive number as 2^k m, m within a factor of sqrt 2 of 1.
struct parts {
    doubles k, m;
};
[[gnu::always_inline]] inline parts parts_of(const doubles& value) {
    constexpr std::uint64_t root = 0x3fe6a09e667f3bcd, bias = 1024; // sqrt 1/2; keeps the exponent positive
    words bits;
    __builtin_memcpy(&bits, &value, bytes);
    const words biased = (bits - root + (bias << 52)) >> 52, number = biased | 0x4330000000000000; // 2^52 + biased, as a double
    const words rest = bits - ((biased - bias) << 52);
    parts result;
    __builtin_memcpy(&result.k, &number, bytes);
    __builtin_memcpy(&result.m, &rest, bytes);
    result.k -= 0x1p52 + static_cast<double>(bias);
    return result;
}

[[gnu::always_inline]] inline doubles log(const doubles& x) {
    const auto [k, m] = parts_of(x);
    return log_of(k, m - 1.0);
}
[[gnu::always_inline]] inline doubles log1p(const doubles& z) {
    const auto [k, m] = parts_of(1.0 + z);
    return log_of(k, k == 0.0 ? z : m - 1.0);
}

/// log1p(z) - z for |z| < 1/3.
[[gnu::always_inline]] inline doubles log1p_minus(const doubles& z) {
    const doubles r = z / (z + 2.0), r2 = r * r;
    doubles sum = {};
    for (int k = 10; k != -1; --k) sum = fma(sum, r2, splat(1.0 / (2 * k + 3)));
    return r * (2.0 * r2 * sum - z);
}
