// Short rows side by side: a lane is a row, so that no lane is empty and nothing is added up across lanes.

/// Rows with up to so many classes lie in tiles.
inline constexpr std::ptrdiff_t tile_classes = 24;

/// Columns of a group of rows, each a few registers.
template <class Scalar>
struct alignas(bytes) tile {
    Scalar p[tile_classes][group_rows], c[tile_classes][group_rows], e[tile_classes][group_rows];
    Scalar label[group_rows];
    std::ptrdiff_t classes;

    template <bool WithC, class Reader>
    [[gnu::always_inline]] void set(std::ptrdiff_t i, const Reader& row, std::ptrdiff_t labelled) {
        Scalar kept[tile_classes];
        label[i] = static_cast<Scalar>(labelled);
        const Scalar* from = row.p(0, classes, kept);
        for (std::ptrdiff_t k = 0; k != classes; ++k) p[k][i] = from[k];
        if constexpr (WithC) {
            from = row.c(0, classes, kept);
            for (std::ptrdiff_t k = 0; k != classes; ++k) c[k][i] = from[k];
        }
    }
    /// No row, but numbers all the same.
    [[gnu::always_inline]] void clear(std::ptrdiff_t i) {
        label[i] = 0;
        for (std::ptrdiff_t k = 0; k != classes; ++k) p[k][i] = c[k][i] = 0;
    }

    template <bool WithC>
    [[gnu::noinline]] void sweep(row_sums& into) {
        using vector = typename vector_of<Scalar>::type;
        for (std::ptrdiff_t at = 0; at != group_rows; at += lanes<Scalar>) {
            vector top = splat(masked<Scalar>), peak = splat(Scalar(-1)), origin = {};
            for (std::ptrdiff_t k = 0; k != classes; ++k) {
                const vector logit = load(&p[k][at]);
                const auto higher = logit > top;
                peak = higher ? splat(static_cast<Scalar>(k)) : peak;
                if constexpr (WithC) origin = higher ? load(&c[k][at]) : origin;
                top = higher ? logit : top;
            }
            const auto from = anchors_of(top);
            const exponential<Scalar> of{top - static_cast<Scalar>(constants<Scalar>::farthest), from.origin,
                                         from.power - static_cast<Scalar>(head_room)};
            vector mass = {}, drift_of_all = {};
            for (std::ptrdiff_t k = 0; k != classes; ++k) {
                const vector logit = load(&p[k][at]), weight = of(logit);
                store(&e[k][at], weight);
                mass += weight;
                if constexpr (WithC) drift_of_all = fma(weight, distance<Scalar>(logit, load(&c[k][at]), origin), drift_of_all);
            }
            const vector centre = WithC ? origin + drift_of_all / mass : origin, labels = load(&label[at]);
            lane_sum<Scalar> rest, drift, excess;
            vector own = {}, lowest = splat(std::numeric_limits<Scalar>::infinity());
            for (std::ptrdiff_t k = 0; k != classes; ++k) {
                const vector weight = load(&e[k][at]);
                const auto is_label = labels == static_cast<Scalar>(k);
                rest.part += is_label ? vector{} : weight;
                own = is_label ? weight : own;
                if constexpr (WithC) {
                    const vector d = distance<Scalar>(load(&p[k][at]), load(&c[k][at]), centre);
                    lowest = min(lowest, d);
                    drift.part = fma(weight, d, drift.part);
                    excess.part = fma(weight, curve_of<Scalar>(d).phi, excess.part);
                }
                if (k % 8 == 7 || k + 1 == classes) {
                    rest.pass_on();
                    drift.pass_on();
                    excess.pass_on();
                }
            }
            rest.store_to(into.rest + at);
            drift.store_to(into.drift + at);
            excess.store_to(into.excess + at);
            store_wide(into.max + at, top);
            store_wide(into.origin + at, from.origin);
            store_wide(into.power + at, from.power);
            store_wide(into.centre + at, centre);
            store_wide(into.label_exponential + at, own);
            store_wide(into.lowest + at, lowest);
            store_wide(into.peak + at, peak);
        }
    }

    /// The gradients take the places of p and c.
    template <bool WithC>
    [[gnu::noinline]] void slope(const row_sums& sums, const settings& how, const slopes<Scalar>* by) {
        using vector = typename vector_of<Scalar>::type;
        struct alignas(bytes) {
            Scalar shift[group_rows], mean[group_rows], divergence[group_rows], cross_entropy[group_rows], label[group_rows],
                even[group_rows], to_p[group_rows], to_c[group_rows], centre[group_rows];
        } rows;
        for (std::ptrdiff_t i = 0; i != group_rows; ++i) {
            rows.shift[i] = by[i].shift;
            rows.mean[i] = by[i].mean;
            rows.divergence[i] = by[i].divergence;
            rows.cross_entropy[i] = by[i].cross_entropy;
            rows.label[i] = by[i].label;
            rows.even[i] = by[i].even;
            rows.to_p[i] = by[i].to_p;
            rows.to_c[i] = by[i].to_c;
            rows.centre[i] = static_cast<Scalar>(sums.centre[i]);
        }
        const Scalar of_phi = how.flow == flow::full || how.flow == flow::stop_counterfactual, of_rise = how.flow == flow::stop_factual,
                     of_x = how.flow == flow::stop_target;
        for (std::ptrdiff_t at = 0; at != group_rows; at += lanes<Scalar>) {
            const vector labels = load(&label[at]);
            for (std::ptrdiff_t k = 0; k != classes; ++k) {
                const vector logit = load(&p[k][at]), weight = load(&e[k][at]);
                vector slope = labels == static_cast<Scalar>(k) ? load(rows.label + at) : weight * load(rows.cross_entropy + at);
                slope -= logit == masked<Scalar> ? vector{} : load(rows.even + at);
                if constexpr (WithC) {
                    const vector d = distance<Scalar>(logit, load(&c[k][at]), load(rows.centre + at));
                    const curve<vector> of = curve_of<Scalar>(d + load(rows.shift + at));
                    const vector part =
                        of_phi * (of.phi - load(rows.divergence + at)) + of_rise * of.rise + of_x * (d - load(rows.mean + at));
                    slope = fma(weight * part, load(rows.to_p + at), slope);
                    store(&c[k][at], weight * of.rise * load(rows.to_c + at) + Scalar(0));
                } else {
                    store(&c[k][at], vector{});
                }
                store(&p[k][at], slope + Scalar(0));
            }
        }
    }
};
