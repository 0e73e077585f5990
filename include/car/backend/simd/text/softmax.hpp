// Softmax, its logarithm and the logarithm of its sum, of one row.

/// The exponentials of a row: their sum is rest + own, own that of the first maximum.
template <class Scalar>
struct row_total {
    Scalar max = masked<Scalar>;
    anchor from;
    double rest = 0, own = 0;

    /// Reads the row twice. `kept` holds a piece, and afterwards the exponentials of the last one.
    template <class Reader>
    [[gnu::always_inline]] row_total(const Reader& row, std::ptrdiff_t size, Scalar* kept) {
        alignas(bytes) Scalar kept_p[piece<Scalar>];
        std::ptrdiff_t peak = 0;
        for (std::ptrdiff_t begin = 0; begin < size; begin += piece<Scalar>) {
            const std::ptrdiff_t count = size - begin < piece<Scalar> ? size - begin : piece<Scalar>;
            const Scalar* const p = row.p(begin, count, kept_p);
            const Scalar top = maximum(p, count);
            if (top > max) {
                max = top;
                peak = begin + find(p, count, top);
            }
        }
        from = anchor_of(max);
        sweep_sums<Scalar> sums;
        for (std::ptrdiff_t begin = 0; begin < size; begin += piece<Scalar>) {
            const std::ptrdiff_t count = size - begin < piece<Scalar> ? size - begin : piece<Scalar>;
            const Scalar* const p = row.p(begin, count, kept_p);
            exponentials(p, count, max, from, kept);
            const std::ptrdiff_t here = peak >= begin && peak < begin + count ? peak - begin : -1;
            if (here >= 0) own = static_cast<double>(kept[here]);
            sums.template add<false>(p, p, kept, count, here, splat(Scalar(0)));
        }
        rest = sums.rest.value();
    }
    /// Is there an answer, and is it exact? Comparisons are false for a NaN.
    bool holds() const { return max <= largest_logit && max >= -largest_logit && rest >= 0 && own > 0; }
    double log_sum() const {
        alignas(bytes) double value[lanes<double>];
        store(value, log1p(splat(rest / own)));
        return value[0];
    }
};

/// False where the row has no answer, or not in numbers of this type; then nothing has been written.
template <class Scalar, bool Logarithm, class Reader, class T>
[[gnu::noinline]] bool softmax_row(const Reader& row, const vector_view<T>& y) {
    using vector = typename vector_of<Scalar>::type;
    alignas(bytes) Scalar kept_p[piece<Scalar>], kept_e[piece<Scalar>];
    const std::ptrdiff_t size = y.size;
    const row_total<Scalar> whole(row, size, kept_e);
    if (!whole.holds()) return false;
    const bool is_plain = is_direct<Scalar>(y, gradients::overwrite), is_kept = size <= piece<Scalar>;
    const vector share = splat(static_cast<Scalar>(1 / (whole.rest + whole.own)));
    const doubles max = splat(static_cast<double>(whole.max)), log_sum = splat(whole.log_sum());
    for (std::ptrdiff_t begin = 0; begin < size; begin += piece<Scalar>) {
        const std::ptrdiff_t count = size - begin < piece<Scalar> ? size - begin : piece<Scalar>;
        const Scalar* const p = Logarithm || !is_kept ? row.p(begin, count, kept_p) : kept_p;
        Scalar* const to = is_plain ? direct<Scalar>(y, begin) : kept_p;
        if (!Logarithm && !is_kept) exponentials(p, count, whole.max, whole.from, kept_e);
        for (std::ptrdiff_t k = 0; k < count; k += lanes<Scalar>) {
            if constexpr (Logarithm)
                store(to + k, count - k, less(load(p + k, count - k, masked<Scalar>), max, log_sum));
            else
                store(to + k, count - k, load(kept_e + k) * share);
        }
        if (!is_plain)
            for (std::ptrdiff_t k = 0; k != count; ++k) y[begin + k] = static_cast<T>(kept_p[k]);
    }
    return true;
}

template <class Scalar, class Reader>
[[gnu::noinline]] bool log_sum_exp_row(const Reader& row, std::ptrdiff_t size, double& value) {
    alignas(bytes) Scalar kept[piece<Scalar>];
    const row_total<Scalar> whole(row, size, kept);
    if (whole.holds()) value = static_cast<double>(whole.max) + whole.log_sum();
    return whole.holds();
}
