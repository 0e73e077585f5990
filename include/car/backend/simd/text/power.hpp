// x 2^n without an instruction for it: n becomes the exponent bits of a number. What would be less than normal is 0.

template <class Scalar, class Bits, class Vector>
[[gnu::always_inline]] inline Vector times_power(const Vector& x, const Vector& n) {
    constexpr int digits = std::numeric_limits<Scalar>::digits - 1;
    constexpr Scalar bias = std::numeric_limits<Scalar>::max_exponent - 1;
    const Vector exponent = min(splat(bias + 1), max(splat(-bias), n)) + (constants<Scalar>::rounder + bias);
    Bits bits;
    __builtin_memcpy(&bits, &exponent, bytes);
    bits <<= digits;
    Vector power;
    __builtin_memcpy(&power, &bits, bytes);
    return x * power;
}
[[gnu::always_inline]] inline floats scale(const floats& x, const floats& n) { return times_power<float, ints>(x, n); }
[[gnu::always_inline]] inline doubles scale(const doubles& x, const doubles& n) { return times_power<double, words>(x, n); }
