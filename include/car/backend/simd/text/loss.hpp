// The loss of a group of rows.

/// What follows from the sums of rows: a register holds several.
inline void finish(row_sums& rows, std::ptrdiff_t count, unsigned& solved) {
    for (std::ptrdiff_t at = 0; at < count; at += lanes<double>) {
        const doubles rest = load(rows.rest + at), own = load(rows.label_exponential + at), drift = load(rows.drift + at),
                      excess = load(rows.excess + at);
        const doubles sum = rest + own, mean = drift / sum, z = (excess - drift) / sum, shift = log1p(z);
        const doubles is_small = z < 1.0 / 3 ? (z > -1.0 / 3 ? splat(1.0) : doubles{}) : doubles{};
        const doubles divergence = is_small != 0.0 ? excess / sum + log1p_minus(z) : mean + shift;
        const doubles log_sum = log(sum * (1 / exponential_unit));
        const doubles lse_p = fma(load(rows.power + at), splat(ln2), load(rows.origin + at)) + log_sum;
        const doubles odds = rest / own;
        const doubles cross_entropy = odds < 8.0 ? log1p(odds) : lse_p - load(rows.label_logit + at);
        const doubles turned = z * drift, size = excess + (turned < 0.0 ? -turned : turned);
        const doubles top = load(rows.max + at);
        // Every comparison is false for a NaN.
        doubles good = size <= load(rows.condition + at) * sum * (1.0 + z) * divergence ? splat(1.0) : doubles{};
        good = load(rows.lowest + at) >= load(rows.lowest_allowed + at) ? good : doubles{};
        good = divergence >= 0.0 ? good : doubles{};
        good = top <= largest_logit ? good : doubles{};
        good = top >= -largest_logit ? good : doubles{};
        good = cross_entropy >= 0.0 ? good : doubles{};
        good = (top < 0.0 ? -top : top) >= load(rows.least_max + at) ? good : doubles{};
        store(rows.sum + at, sum);
        store(rows.mean + at, mean);
        store(rows.shift + at, shift);
        store(rows.divergence + at, divergence + 0.0);
        store(rows.lse_p + at, lse_p);
        store(rows.lse_y + at, lse_p - load(rows.centre + at) + shift);
        store(rows.cross_entropy + at, cross_entropy);
        double flags[lanes<double>];
        store(flags, good);
        for (std::ptrdiff_t i = 0; i != lanes<double>; ++i)
            if (flags[i] != 0) solved |= 1u << (at + i);
    }
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

/// The rows of a group that `wanted` has a bit for, in numbers of one type. A bit of the result for each that is solved: what was
/// measured of the others does not hold, and nothing has been written.
template <class Scalar, bool WithC, class T>
[[gnu::noinline]] unsigned solve(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
                                 scalar_row::row_result<double>* results) {
    alignas(bytes) Scalar kept[group_bytes / sizeof(Scalar)];
    constexpr std::ptrdiff_t room = group_bytes / static_cast<std::ptrdiff_t>(sizeof(Scalar));
    const std::ptrdiff_t size = rows.classes(), width = (size + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
    const bool keeps = how.wants_gradients && size <= piece<Scalar>;
    const std::ptrdiff_t at_once = !keeps ? group_rows : room / width < group_rows ? room / width : group_rows;
    unsigned solved = 0;
    while (wanted != 0) {
        row_sums sums{};
        int which[group_rows];
        std::ptrdiff_t count = 0;
        for (; wanted != 0 && count != at_once; ++count, wanted &= wanted - 1) {
            const int i = which[count] = __builtin_ctz(wanted);
            const auto row = rows.template logits<double>(list[i].row);
            sweep<Scalar, WithC>(row_reader<T, Scalar>(row), size, list[i].label, kept + (keeps ? count * width : 0), sums, count);
            sums.label_logit[count] = row.p(list[i].label);
            sums.condition[count] = how.condition<Scalar>();
            sums.lowest_allowed[count] = constants<Scalar>::lowest;
            sums.least_max[count] = how.wants_lse && std::is_same_v<Scalar, float> ? 1 : 0;
        }
        unsigned good = 0;
        finish(sums, count, good);
        for (std::ptrdiff_t at = 0; at != count; ++at) {
            if (!(good >> at & 1)) continue;
            const int i = which[at];
            solved |= 1u << i;
            const auto row = rows.template logits<double>(list[i].row);
            double live = 1;
            scalar_row::row_result<double>& result = results[i];
            result.cross_entropy = sums.cross_entropy[at];
            if (how.smoothing != 0) {
                const smoothing_sums even(row_reader<T, double>(row), size, sums.max[at]);
                live = even.live;
                const double of_even = even.fall / live + (sums.lse_p[at] - sums.max[at]);
                result.cross_entropy = how.smoothing * of_even;
                if (how.smoothing != 1) result.cross_entropy += (1 - how.smoothing) * sums.cross_entropy[at];
            }
            if (how.alpha != 0) result.divergence = sums.divergence[at];
            result.lse_p = sums.lse_p[at];
            if (WithC) result.lse_y = sums.lse_y[at];
            result.predicted = sums.peak[at];
            if (!how.wants_gradients) continue;
            const double factor = list[i].factor * row.how.scale;
            const slopes<Scalar> by(sums, at, how, live, factor, factor * row.strength);
            const auto gradients = rows.template gradients<double>(list[i].row);
            const Scalar* const e = keeps ? kept + at * width : nullptr;
            if (how.flow == flow::full || how.flow == flow::stop_counterfactual)
                write_gradients<Scalar, WithC, true>(row_reader<T, Scalar>(row), size, list[i].label, e, sums, at, by, gradients);
            else
                write_gradients<Scalar, WithC, false>(row_reader<T, Scalar>(row), size, list[i].label, e, sums, at, by, gradients);
        }
    }
    return solved;
}

/// As many rows as a group has, in float where that is exact enough, else in double.
template <class T>
[[gnu::noinline]] unsigned loss_group(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
                                      scalar_row::row_result<double>* results) {
    unsigned solved = 0;
    if constexpr (has_fma)
        if (how.narrow)
            solved =
                how.reads_c ? solve<float, true>(rows, how, list, wanted, results) : solve<float, false>(rows, how, list, wanted, results);
    wanted &= ~solved;
    return solved |
           (how.reads_c ? solve<double, true>(rows, how, list, wanted, results) : solve<double, false>(rows, how, list, wanted, results));
}
