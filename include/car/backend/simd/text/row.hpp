// A row in pieces: its maximum, its exponentials, their moments, its gradients.

/// Numbers of a row that are held at a time.
template <class Scalar>
inline constexpr std::ptrdiff_t piece = 4096 / static_cast<std::ptrdiff_t>(sizeof(Scalar));
/// Numbers whose sum is passed on to double: 16 in each lane of the widest register.
inline constexpr std::ptrdiff_t block = 256;

template <class Scalar>
inline constexpr Scalar masked = -std::numeric_limits<Scalar>::infinity();

template <class Scalar>
[[gnu::always_inline]] inline Scalar maximum(const Scalar* p, std::ptrdiff_t size) {
    auto top = load(p, size, masked<Scalar>), other = top;
    std::ptrdiff_t k = lanes<Scalar>;
    for (; k + 2 * lanes<Scalar> <= size; k += 2 * lanes<Scalar>) {
        top = max(top, load(p + k));
        other = max(other, load(p + k + lanes<Scalar>));
    }
    for (; k < size; k += lanes<Scalar>) top = max(top, load(p + k, size - k, masked<Scalar>));
    return largest<Scalar>(max(top, other));
}

/// The first column that holds `value`.
template <class Scalar>
[[gnu::always_inline]] inline std::ptrdiff_t find(const Scalar* p, std::ptrdiff_t size, Scalar value) {
    std::ptrdiff_t k = 0;
    for (; k + lanes<Scalar> <= size; k += lanes<Scalar>)
        if (const unsigned found = equal(load(p + k), splat(value))) return k + __builtin_ctz(found);
    while (k != size - 1 && p[k] != value) ++k;
    return k;
}

/// c - centre where p is not masked, else 0.
template <class Scalar, class Vector>
[[gnu::always_inline]] inline Vector distance(const Vector& p, const Vector& c, const Vector& centre) {
    return p == masked<Scalar> ? Vector{} : c - centre;
}

/// Where the exponentials of a row are measured from.
template <class Scalar>
anchor anchor_of(Scalar top) {
    if constexpr (std::is_same_v<Scalar, double>)
        return {top, 0};
    else
        return {0, __builtin_rint(static_cast<double>(top) * constants<double>::log2_e)};
}

/// Writes the exponentials of a piece, as whole registers.
template <class Scalar>
[[gnu::always_inline]] inline void exponentials(const Scalar* p, std::ptrdiff_t size, Scalar max, const anchor& from, Scalar* e) {
    const exponential<Scalar> of{splat(static_cast<Scalar>(max - static_cast<Scalar>(constants<Scalar>::farthest))),
                                 splat(static_cast<Scalar>(from.origin)), splat(static_cast<Scalar>(from.power - head_room))};
    for (std::ptrdiff_t k = 0; k < size; k += lanes<Scalar>) store(e + k, of(load(p + k, size - k, masked<Scalar>)));
}

/// The mean of c in a piece, near enough for a centre: `origin`, one of its c, exactly where they are all the same.
template <class Scalar>
[[gnu::always_inline]] inline Scalar centre_of(const Scalar* p, const Scalar* c, const Scalar* e, std::ptrdiff_t size, Scalar origin) {
    lane_sum<Scalar> mass, drift;
    const auto from = splat(origin);
    for (std::ptrdiff_t k = 0; k < size; k += lanes<Scalar>) {
        const auto weight = load(e + k);
        mass.part += weight;
        drift.part = fma(weight, distance<Scalar>(load(p + k, size - k, masked<Scalar>), load(c + k, size - k, origin), from), drift.part);
    }
    mass.pass_on();
    drift.pass_on();
    return static_cast<Scalar>(static_cast<double>(origin) + drift.value() / mass.value());
}

/// What the exponentials of a row add up to, with the differences from the centre.
template <class Scalar>
struct sweep_sums {
    lane_sum<Scalar> rest, drift, excess;
    typename vector_of<Scalar>::type lowest;

    [[gnu::always_inline]] sweep_sums() : lowest(splat(std::numeric_limits<Scalar>::infinity())) {}
    [[gnu::always_inline]] void rescale(double factor) {
        for (lane_sum<Scalar>* sum : {&rest, &drift, &excess}) sum->rescale(factor);
    }

    /// `label` is a column of the piece whose exponential stays out of `rest`, or -1.
    template <bool WithC>
    [[gnu::always_inline]] void add(const Scalar* p, const Scalar* c, Scalar* e, std::ptrdiff_t size, std::ptrdiff_t label,
                                    const typename vector_of<Scalar>::type& centre) {
        for (std::ptrdiff_t begin = 0; begin < size; begin += block) {
            const std::ptrdiff_t end = begin + block < size ? begin + block : size;
            if constexpr (WithC)
                for (std::ptrdiff_t k = begin; k < end; k += lanes<Scalar>) {
                    const auto weight = load(e + k);
                    const auto d = distance<Scalar>(load(p + k, size - k, masked<Scalar>), load(c + k, size - k, Scalar(0)), centre);
                    lowest = min(lowest, d);
                    drift.part = fma(weight, d, drift.part);
                    excess.part = fma(weight, curve_of<Scalar>(d).phi, excess.part);
                }
            const bool here = label >= begin && label < end;
            const Scalar own = here ? e[label] : Scalar(0);
            if (here) e[label] = 0;
            for (std::ptrdiff_t k = begin; k < end; k += lanes<Scalar>) rest.part += load(e + k);
            if (here) e[label] = own;
            rest.pass_on();
            if constexpr (WithC) {
                drift.pass_on();
                excess.pass_on();
            }
        }
    }
};

/// Sweeps a row once. `kept` holds a piece, and afterwards the exponentials of the last one.
template <class Scalar, bool WithC, class Reader>
[[gnu::noinline]] void sweep(const Reader& row, std::ptrdiff_t size, std::ptrdiff_t label, Scalar* kept, row_sums& into,
                             std::ptrdiff_t at) {
    alignas(bytes) Scalar kept_p[piece<Scalar>], kept_c[piece<Scalar>];
    sweep_sums<Scalar> sums;
    Scalar max = masked<Scalar>, centre = 0;
    anchor from;
    double own = 0;
    std::ptrdiff_t peak = -1;
    for (std::ptrdiff_t begin = 0; begin < size; begin += piece<Scalar>) {
        const std::ptrdiff_t count = size - begin < piece<Scalar> ? size - begin : piece<Scalar>;
        const Scalar* const p = row.p(begin, count, kept_p);
        const Scalar* const c = WithC ? row.c(begin, count, kept_c) : p;
        const Scalar top = maximum(p, count);
        const bool is_first = max == masked<Scalar>;
        if (top > max) {
            max = top;
            peak = begin + find(p, count, top);
            const anchor to = anchor_of(top);
            if (is_first) {
                from = to;
            } else if (to.origin != from.origin || to.power > from.power + growth) {
                const double factor = from.over(to);
                sums.rescale(factor);
                own *= factor;
                from = to;
            }
        }
        if (max == masked<Scalar>) continue;
        exponentials(p, count, max, from, kept);
        if constexpr (WithC)
            if (is_first) centre = centre_of(p, c, kept, count, c[peak - begin]);
        const std::ptrdiff_t here = label >= begin && label < begin + count ? label - begin : -1;
        if (here >= 0) own = static_cast<double>(kept[here]);
        sums.template add<WithC>(p, c, kept, count, here, splat(centre));
    }
    into.max[at] = static_cast<double>(max);
    into.origin[at] = from.origin;
    into.power[at] = from.power;
    into.centre[at] = static_cast<double>(centre);
    into.rest[at] = sums.rest.value();
    into.label_exponential[at] = own;
    into.drift[at] = sums.drift.value();
    into.excess[at] = sums.excess.value();
    into.lowest[at] = static_cast<double>(smallest<Scalar>(sums.lowest));
    into.peak[at] = peak;
}

/// What multiplies the parts of a row's gradients.
template <class Scalar>
struct slopes {
    Scalar shift, mean, divergence;    ///< log(P / Y) = d + shift; E_P[d]; KL
    Scalar of_phi, of_rise, of_x;      ///< each flow takes one of these
    Scalar cross_entropy, label, even; ///< of e; instead of that, in the label's column; taken from every class that is not masked
    Scalar to_p, to_c;                 ///< of e times the divergence's slopes

    /// `factor` and `factor_c`: what a gradient is multiplied with.
    slopes(const row_sums& row, std::ptrdiff_t at, const settings& how, double live, double factor, double factor_c)
        : shift(static_cast<Scalar>(row.shift[at])), mean(static_cast<Scalar>(row.mean[at])),
          divergence(static_cast<Scalar>(row.divergence[at])), of_phi(how.flow == flow::full || how.flow == flow::stop_counterfactual),
          of_rise(how.flow == flow::stop_factual), of_x(how.flow == flow::stop_target) {
        const double scaled = factor / row.sum[at];
        const double of_lse = 2 * how.z_weight * row.lse_p[at];
        cross_entropy = static_cast<Scalar>(scaled * (1 + of_lse));
        even = static_cast<Scalar>(factor * how.smoothing / live);
        label = static_cast<Scalar>((1 - how.smoothing) * (-scaled * row.rest[at]) +
                                    row.label_exponential[at] * scaled * (how.smoothing + of_lse));
        to_p = static_cast<Scalar>(how.alpha * scaled);
        const bool flows = how.flow == flow::full || how.flow == flow::stop_factual;
        to_c = flows ? static_cast<Scalar>(-how.alpha * (factor_c / row.sum[at])) : Scalar(0);
    }
};

/// Writes the gradients of a row, piece by piece, each number read before one is written in its place. `kept` holds the exponentials of
/// the only piece, or is null: then they are computed again.
template <class Scalar, bool WithC, bool Full, class Reader, class T>
[[gnu::noinline]] void write_gradients(const Reader& row, std::ptrdiff_t size, std::ptrdiff_t label, const Scalar* kept,
                                       const row_sums& sums, std::ptrdiff_t at, const slopes<Scalar>& by,
                                       const scalar_row::gradient_rows<T, double>& gradients) {
    using vector = typename vector_of<Scalar>::type;
    alignas(bytes) Scalar kept_p[piece<Scalar>], kept_c[piece<Scalar>], kept_e[piece<Scalar>];
    const vector centre = splat(static_cast<Scalar>(sums.centre[at])), shift = splat(by.shift);
    const bool direct_p = is_direct<Scalar>(gradients.p, gradients.how), direct_c = is_direct<Scalar>(gradients.c, gradients.how);
    for (std::ptrdiff_t begin = 0; begin < size; begin += piece<Scalar>) {
        const std::ptrdiff_t count = size - begin < piece<Scalar> ? size - begin : piece<Scalar>;
        const Scalar* const p = row.p(begin, count, kept_p);
        const Scalar* const c = WithC ? row.c(begin, count, kept_c) : p;
        const Scalar* e = kept;
        if (!kept) {
            exponentials(p, count, static_cast<Scalar>(sums.max[at]), {sums.origin[at], sums.power[at]}, kept_e);
            e = kept_e;
        }
        Scalar* const to_p = direct_p ? direct<Scalar>(gradients.p, begin) : kept_p;
        Scalar* const to_c = direct_c ? direct<Scalar>(gradients.c, begin) : kept_c;
        for (std::ptrdiff_t k = 0; k < count; k += lanes<Scalar>) {
            const vector logit = load(p + k, count - k, masked<Scalar>), weight = load(e + k);
            vector slope = weight * by.cross_entropy;
            if (label - begin >= k && label - begin < k + lanes<Scalar>) {
                alignas(bytes) Scalar columns[lanes<Scalar>];
                store(columns, slope);
                columns[label - begin - k] = by.label;
                slope = load(columns);
            }
            if (by.even != 0) slope -= logit == masked<Scalar> ? vector{} : splat(by.even);
            vector slope_c = {};
            if constexpr (WithC) {
                const vector d = distance<Scalar>(logit, load(c + k, count - k, Scalar(0)), centre);
                const curve<vector> of = curve_of<Scalar>(d + shift);
                vector part = of.phi - by.divergence;
                if constexpr (!Full) part = by.of_phi * part + by.of_rise * of.rise + by.of_x * (d - by.mean);
                slope = fma(weight * part, splat(by.to_p), slope);
                slope_c = weight * of.rise * by.to_c;
            }
            // -0 becomes +0.
            store(to_p + k, count - k, slope + Scalar(0));
            store(to_c + k, count - k, slope_c + Scalar(0));
        }
        if (!direct_p) put(to_p, gradients, gradients.p, begin, count);
        if (!direct_c) put(to_c, gradients, gradients.c, begin, count);
    }
}
