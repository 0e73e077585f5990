// Parts of registers, and sums of their lanes.

/// What is left of a row, filled up.
template <class Scalar>
[[gnu::always_inline]] inline typename vector_of<Scalar>::type load(const Scalar* from, std::ptrdiff_t left, Scalar filler) {
    return left >= lanes<Scalar> ? load(from) : load_part(from, left, filler);
}
template <class Vector, class Scalar>
[[gnu::always_inline]] inline void store(Scalar* to, std::ptrdiff_t left, const Vector& value) {
    if (left >= lanes<Scalar>)
        store(to, value);
    else
        store_part(to, left, value);
}

/// The sum of the lanes, by halves.
[[gnu::always_inline]] inline double total(const doubles& value) {
    double kept[lanes<double>];
    store(kept, value);
    for (std::ptrdiff_t half = lanes<double> / 2; half != 0; half /= 2)
        for (std::ptrdiff_t i = 0; i != half; ++i) kept[i] += kept[i + half];
    return kept[0];
}

/// A sum of the lanes of many registers. What floats add up to is passed on to double every few registers, so that the rounding of a
/// long sum is that of a short one. The constructors are written out because one that the compiler makes has no instruction set.
template <class Scalar>
struct lane_sum;
template <>
struct lane_sum<float> {
    floats part;
    doubles low, high;

    [[gnu::always_inline]] lane_sum() : part{}, low{}, high{} {}
    [[gnu::always_inline]] void pass_on() {
        low += lower_half(part);
        high += upper_half(part);
        part = floats{};
    }
    [[gnu::always_inline]] void rescale(double factor) {
        low *= factor;
        high *= factor;
    }
    [[gnu::always_inline]] double value() const { return total(low + high); }
};
template <>
struct lane_sum<double> {
    doubles part;

    [[gnu::always_inline]] lane_sum() : part{} {}
    [[gnu::always_inline]] void pass_on() {}
    [[gnu::always_inline]] void rescale(double factor) { part *= factor; }
    [[gnu::always_inline]] double value() const { return total(part); }
};
