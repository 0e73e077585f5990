// The loss of a group of rows.

/// What follows from the sums of rows: a register holds several. A bit of the result for each row of which it holds.
template <class Scalar>
[[gnu::noinline]] unsigned finish(row_sums& rows, const settings& how) {
    using constant = constants<Scalar>;
    const double condition = how.fast ? 4 * constant::condition : constant::condition;
    const double least_max = how.wants_lse && std::is_same_v<Scalar, float> ? 1 : 0; // below, the anchor's own rounding shows
    alignas(bytes) double good[group_rows];
    for (std::ptrdiff_t at = 0; at != group_rows; at += lanes<double>) {
        const doubles rest = load(rows.rest + at), own = load(rows.label_exponential + at), drift = load(rows.drift + at),
                      excess = load(rows.excess + at), top = load(rows.max + at);
        const doubles sum = rest + own, share = 1.0 / sum, mean = drift * share, z = (excess - drift) * share, shift = log1p(z);
        const doubles size_of_z = z < 0.0 ? -z : z;
        const doubles divergence = size_of_z < 1.0 / 3 ? excess * share + log1p_minus(z) : mean + shift;
        const doubles lse_p = fma(load(rows.power + at), splat(ln2), load(rows.origin + at)) + log(sum * (1 / exponential_unit));
        const doubles odds = rest / own;
        const doubles cross_entropy = odds < 8.0 ? log1p(odds) : lse_p - load(rows.label_logit + at);
        const doubles size = excess + size_of_z * (drift < 0.0 ? -drift : drift);
        store(rows.sum + at, sum);
        store(rows.mean + at, mean);
        store(rows.shift + at, shift);
        store(rows.divergence + at, divergence + 0.0);
        store(rows.lse_p + at, lse_p);
        store(rows.lse_y + at, lse_p - load(rows.centre + at) + shift);
        store(rows.cross_entropy + at, cross_entropy);
        // Every comparison is false for a NaN.
        const doubles size_of_top = top < 0.0 ? -top : top;
        doubles holds = size <= condition * sum * (1.0 + z) * divergence ? splat(1.0) : doubles{};
        holds = divergence >= 0.0 ? holds : doubles{};
        holds = cross_entropy >= 0.0 ? holds : doubles{};
        holds = load(rows.lowest + at) >= constant::lowest ? holds : doubles{};
        holds = size_of_top <= largest_logit ? holds : doubles{};
        holds = size_of_top >= least_max ? holds : doubles{};
        store(good + at, holds);
    }
    unsigned solved = 0;
    for (std::ptrdiff_t i = 0; i != group_rows; ++i) solved |= static_cast<unsigned>(good[i] != 0) << i;
    return solved;
}

/// The sum of max - p over the classes that are not masked, and how many those are.
struct smoothing_sums {
    double fall = 0, live = 0;

    template <class Reader>
    smoothing_sums(const Reader& row, std::ptrdiff_t size, double max) {
        alignas(bytes) double kept[piece<double>];
        lane_sum<double> sum, count;
        for (std::ptrdiff_t begin = 0; begin < size; begin += piece<double>) {
            const std::ptrdiff_t left = size - begin < piece<double> ? size - begin : piece<double>;
            const double* const p = row.p(begin, left, kept);
            for (std::ptrdiff_t k = 0; k < left; k += lanes<double>) {
                const doubles logit = load(p + k, left - k, masked<double>);
                sum.part += logit == masked<double> ? doubles{} : max - logit;
                count.part += logit == masked<double> ? doubles{} : splat(1.0);
            }
        }
        fall = sum.value();
        live = count.value();
    }
};

/// What the sums of a row say. `live` becomes the number of classes that are not masked, where that is asked for.
template <bool WithC, class T>
[[gnu::noinline]] void report(const row_sums& sums, std::ptrdiff_t at, const settings& how, const scalar_row::logit_pairs<T, double>& row,
                              double& live, scalar_row::row_result<double>& result) {
    result.cross_entropy = sums.cross_entropy[at];
    if (how.smoothing != 0) {
        const smoothing_sums even(row_reader<T, double>(row), row.size(), sums.max[at]);
        live = even.live;
        result.cross_entropy = how.smoothing * (even.fall / live + (sums.lse_p[at] - sums.max[at]));
        if (how.smoothing != 1) result.cross_entropy += (1 - how.smoothing) * sums.cross_entropy[at];
    }
    if (how.alpha != 0) result.divergence = sums.divergence[at];
    result.lse_p = sums.lse_p[at];
    if (WithC) result.lse_y = sums.lse_y[at];
    result.predicted = static_cast<std::ptrdiff_t>(sums.peak[at]);
}

/// The rows of a group that `wanted` has a bit for, in numbers of one type. A bit of the result for each that is solved: what was
/// measured of the others does not hold, and nothing has been written.
template <class Scalar, bool WithC, class T>
[[gnu::noinline]] unsigned solve_rows(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
                                      scalar_row::row_result<double>* results) {
    alignas(bytes) Scalar kept[group_bytes / sizeof(Scalar)];
    constexpr std::ptrdiff_t room = group_bytes / static_cast<std::ptrdiff_t>(sizeof(Scalar));
    const std::ptrdiff_t size = rows.classes(), width = (size + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
    const bool keeps = how.wants_gradients && size <= piece<Scalar>;
    const std::ptrdiff_t at_once = !keeps ? group_rows : room / width < group_rows ? room / width : group_rows;
    auto row = rows.template logits<double>(0);
    unsigned solved = 0;
    while (wanted != 0) {
        row_sums sums{};
        int which[group_rows];
        std::ptrdiff_t count = 0;
        for (; wanted != 0 && count != at_once; ++count, wanted &= wanted - 1) {
            const int i = which[count] = __builtin_ctz(wanted);
            rows.move_to(list[i].row, row);
            sweep<Scalar, WithC>(row_reader<T, Scalar>(row), size, list[i].label, kept + (keeps ? count * width : 0), sums, count);
            sums.label_logit[count] = row.p(list[i].label);
        }
        const unsigned good = finish<Scalar>(sums, how);
        for (std::ptrdiff_t at = 0; at != count; ++at) {
            if (!(good >> at & 1)) continue;
            const wanted_row& of = list[which[at]];
            rows.move_to(of.row, row);
            double live = 1;
            report<WithC>(sums, at, how, row, live, results[which[at]]);
            solved |= 1u << which[at];
            if (!how.wants_gradients) continue;
            const slopes<Scalar> by(sums, at, how, live, of.factor * row.how.scale, row.strength);
            const auto gradients = rows.template gradients<double>(of.row);
            const Scalar* const e = keeps ? kept + at * width : nullptr;
            if (by.of_phi == 1)
                write_gradients<Scalar, WithC, true>(row_reader<T, Scalar>(row), size, of.label, e, sums, at, by, gradients);
            else
                write_gradients<Scalar, WithC, false>(row_reader<T, Scalar>(row), size, of.label, e, sums, at, by, gradients);
        }
    }
    return solved;
}

/// The same for short rows.
template <class Scalar, bool WithC, class T>
[[gnu::noinline]] unsigned solve_tile(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
                                      scalar_row::row_result<double>* results) {
    tile<Scalar> columns;
    row_sums sums{};
    auto row = rows.template logits<double>(0);
    columns.classes = rows.classes();
    for (std::ptrdiff_t i = 0; i != group_rows; ++i) {
        if (wanted >> i & 1) {
            rows.move_to(list[i].row, row);
            columns.template set<WithC>(i, row_reader<T, Scalar>(row), list[i].label);
            sums.label_logit[i] = row.p(list[i].label);
        } else {
            columns.clear(i);
        }
    }
    columns.template sweep<WithC>(sums);
    const unsigned good = finish<Scalar>(sums, how) & wanted;
    slopes<Scalar> by[group_rows] = {};
    for (unsigned left = good; left != 0; left &= left - 1) {
        const int i = __builtin_ctz(left);
        rows.move_to(list[i].row, row);
        double live = 1;
        report<WithC>(sums, i, how, row, live, results[i]);
        if (how.wants_gradients) by[i] = slopes<Scalar>(sums, i, how, live, list[i].factor * row.how.scale, row.strength);
    }
    if (!how.wants_gradients) return good;
    columns.template slope<WithC>(sums, how, by);
    for (unsigned left = good; left != 0; left &= left - 1) {
        const int i = __builtin_ctz(left);
        const auto gradients = rows.template gradients<double>(list[i].row);
        put_column(&columns.p[0][i], gradients, gradients.p, columns.classes);
        put_column(&columns.c[0][i], gradients, gradients.c, columns.classes);
    }
    return good;
}

template <class Scalar, bool WithC, class T>
unsigned solve(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
               scalar_row::row_result<double>* results) {
    if (wanted == 0) return 0;
    return rows.classes() <= tile_classes ? solve_tile<Scalar, WithC>(rows, how, list, wanted, results)
                                          : solve_rows<Scalar, WithC>(rows, how, list, wanted, results);
}
