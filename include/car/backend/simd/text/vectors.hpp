// Registers as numbers. The instruction set has said how many `bytes` a register has.

template <class Scalar>
struct vector_of;
template <>
struct vector_of<float> {
    typedef float type __attribute__((vector_size(bytes)));
};
template <>
struct vector_of<double> {
    typedef double type __attribute__((vector_size(bytes)));
};
using floats = vector_of<float>::type;
using doubles = vector_of<double>::type;
typedef std::int32_t ints __attribute__((vector_size(bytes)));
typedef long long longs __attribute__((vector_size(bytes)));
typedef std::uint64_t words __attribute__((vector_size(bytes)));

template <class Scalar>
inline constexpr std::ptrdiff_t lanes = bytes / static_cast<std::ptrdiff_t>(sizeof(Scalar));

template <class Scalar>
[[gnu::always_inline]] inline typename vector_of<Scalar>::type splat(Scalar value) {
    return typename vector_of<Scalar>::type{} + value; // -0 becomes +0
}
template <class Scalar>
[[gnu::always_inline]] inline typename vector_of<Scalar>::type load(const Scalar* from) {
    typename vector_of<Scalar>::type value;
    __builtin_memcpy(&value, from, bytes);
    return value;
}
template <class Vector, class Scalar>
[[gnu::always_inline]] inline void store(Scalar* to, const Vector& value) {
    __builtin_memcpy(to, &value, bytes);
}

/// The larger and the smaller; the second where either is NaN.
template <class Vector>
[[gnu::always_inline]] inline Vector max(const Vector& a, const Vector& b) {
    return a > b ? a : b;
}
template <class Vector>
[[gnu::always_inline]] inline Vector min(const Vector& a, const Vector& b) {
    return a < b ? a : b;
}

/// Lanes one after the other: a loop that nothing waits for.
template <class Scalar, class Vector>
[[gnu::always_inline]] inline Scalar largest(const Vector& value) {
    Scalar kept[lanes<Scalar>], found = -std::numeric_limits<Scalar>::infinity();
    store(kept, value);
    for (const Scalar x : kept) found = x > found ? x : found;
    return found;
}
template <class Scalar, class Vector>
[[gnu::always_inline]] inline Scalar smallest(const Vector& value) {
    return -largest<Scalar>(-value);
}
