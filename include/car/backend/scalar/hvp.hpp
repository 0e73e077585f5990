// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loss.hpp" // the gradients that are differentiated

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

/// A direction in the logits of a row, as they are read: v_k d p'_k / d p_k. 0 where none is given or the class is masked.
template <class T, class Difference>
struct row_direction {
    using number = detail::number_of<Difference>;

    const logit_pairs<T, Difference>& row;
    vector_view<const T> along_p, along_c;

    double raw_p(std::ptrdiff_t k) const { return along_p ? static_cast<double>(along_p[k]) : 0; }
    double raw_c(std::ptrdiff_t k) const { return along_c ? static_cast<double>(along_c[k]) : 0; }
    number p(std::ptrdiff_t k) const { return number(row.how.slope(row.raw(k))) * raw_p(k); }
    number c(std::ptrdiff_t k) const { return along_c ? number(row.slope_c(k)) * raw_c(k) : number(0); }
};

/// A direction less its mean under P, and that mean.
template <class T, class Difference>
struct centred_direction {
    using number = detail::number_of<Difference>;

    row_direction<T, Difference> direction;
    number mean_p = 0, mean_c = 0;

    template <class State>
    centred_direction(const row_direction<T, Difference>& along, const State& state) : direction(along) {
        detail::sum_of<Difference> p, c;
        for_each_live(state, [&](std::ptrdiff_t k, const Difference&, const number& e) {
            p.add(e * direction.p(k));
            c.add(e * direction.c(k));
        });
        mean_p = p.value() / state.sum();
        mean_c = c.value() / state.sum();
    }
    template <class State, class Visit>
    void for_each_live(const State& state, Visit visit) const {
        for (std::ptrdiff_t k = 0; k != direction.row.size(); ++k) {
            if (direction.row.is_masked(k)) continue;
            const Difference a = direction.row(k) - state.max;
            visit(k, a, detail::exp(a));
        }
    }
    number p(std::ptrdiff_t k) const { return direction.p(k) - mean_p; }
    number c(std::ptrdiff_t k) const { return direction.c(k) - mean_c; }
};

/// How the slopes of KL(P || Y) change along a direction.
template <class T, class Difference>
struct prediction_turn {
    using number = detail::number_of<Difference>;

    const prediction_divergence<logit_pairs<T, Difference>>& divergence;
    const centred_direction<T, Difference>& along;
    flow how;
    number covariance = 0; // E_P[s x]
    number drop = 0;       // sum of (P - Y) r

    prediction_turn(const prediction_divergence<logit_pairs<T, Difference>>& kl, const centred_direction<T, Difference>& direction,
                    const basic_row_state<Difference>& state, flow which)
        : divergence(kl), along(direction), how(which) {
        if (!kl.is_finite()) return;
        detail::sum_of<Difference> s_x, falls;
        along.for_each_live(state, [&](std::ptrdiff_t k, const Difference& a, const number& e) {
            const Difference d = kl.d(k);
            s_x.add(e * along.p(k) * kl.x(d) / kl.terms.sum);
            falls.add(kl.fall(a, e, kl.w(d)) * r(k));
        });
        covariance = s_x.value();
        drop = falls.value();
    }

    bool moves_c() const { return how == flow::full || how == flow::stop_factual; }
    number r(std::ptrdiff_t k) const { return moves_c() ? along.p(k) - along.c(k) : along.p(k); }

    divergence_slope<number> operator()(std::ptrdiff_t k, const Difference& a, const number& e) const {
        if (!divergence.is_finite()) return {detail::no_number, moves_c() ? detail::no_number : 0};
        const Difference d = divergence.d(k);
        const number P = e / divergence.terms.sum, s = along.p(k), x = divergence.x(d);
        if (how == flow::stop_target) return {P * (s * (x + 1) - covariance), 0};
        const number fall = divergence.fall(a, e, divergence.w(d)), turned = r(k) + drop; // r - E_Y[r]
        if (how == flow::stop_factual) return {(P - fall) * turned, -((P - fall) * turned)};
        const number to_p = P * (s * x - covariance + drop) - fall * turned;
        // P s - Y (r - E_Y[r]), of which nothing is left where v_c = 0 and Y = P.
        return {to_p, how == flow::full ? P * (along.c(k) - drop) + fall * turned : number(0)};
    }
};

/// How the slopes of KL(label || Y) change along a direction.
template <class T, class Difference>
struct label_turn {
    using number = detail::number_of<Difference>;

    const label_divergence<T, Difference>& divergence;
    const row_direction<T, Difference>& along;
    flow how;
    number mean = 0; // E_Y[v_p - v_c]

    label_turn(const label_divergence<T, Difference>& label, const row_direction<T, Difference>& direction, flow which)
        : divergence(label), along(direction), how(which) {
        if (!label.is_finite()) return;
        detail::sum_of<Difference> sum;
        for (std::ptrdiff_t k = 0; k != label.row.size(); ++k)
            if (!label.row.is_masked(k)) sum.add(y(k) * v(k));
        mean = sum.value();
    }

    number v(std::ptrdiff_t k) const { return how == flow::full ? along.p(k) - along.c(k) : along.p(k); }
    number y(std::ptrdiff_t k) const {
        const auto& state = divergence.whole.state;
        return detail::exp(divergence.row(k) - state.max) / state.sum();
    }
    divergence_slope<number> operator()(std::ptrdiff_t k) const {
        if (!divergence.is_finite()) return {detail::no_number, how == flow::full ? detail::no_number : 0};
        const number turned = divergence.mass * y(k) * (v(k) - mean);
        return {turned, how == flow::full ? -turned : number(0)};
    }
};

template <class T, class Difference>
fault loss_hvp(const logit_pairs<T, Difference>& row, const row_target<T>& target, const row_direction<T, Difference>& direction,
               const loss_options& options, double limit, const gradient_rows<T, detail::number_of<Difference>>& gradients) {
    using number = detail::number_of<Difference>;
    const measured whole(static_cast<const logits<T, Difference>&>(row));
    const smoothed_cross_entropy ce(target, static_cast<const logits<T, Difference>&>(row), whole.state, options.label_smoothing);
    if (!whole.is_finite() || !std::isfinite(detail::rounded(ce.mass))) {
        const fault what = whole.is_finite() ? fault::not_finite : whole.what();
        gradients.fill(row.size(), what == fault::masked_row ? 0 : detail::no_number);
        return what;
    }
    const auto& state = whole.state;
    const centred_direction<T, Difference> along(direction, state);
    const number mass = (number(1) - options.label_smoothing) * ce.mass + options.label_smoothing;
    const number log_sum = detail::sum(state.max, detail::log1p(state.rest));

    // `turn` gives the change of the divergence's slopes in column k, `slope` the slopes themselves.
    const auto write = [&](auto slope, auto turn) {
        for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
            if (row.is_masked(k)) {
                gradients.put(gradients.p, k, number(0));
                gradients.put(gradients.c, k, number(0));
                continue;
            }
            const Difference a = row(k) - state.max;
            const number e = detail::exp(a), P = e / state.sum(), s = along.p(k);
            number slope_p = ce.slope(k, a, e, true), turn_p = mass * P * s, slope_c = 0, turn_c = 0;
            if (options.z_weight != 0) {
                slope_p += 2 * options.z_weight * log_sum * P;
                turn_p += 2 * options.z_weight * P * (along.mean_p + log_sum * s);
            }
            if (options.alpha != 0) {
                const divergence_slope<number> first = slope(k, a, e), second = turn(k, a, e);
                slope_p += options.alpha * first.p;
                slope_c = options.alpha * first.c;
                turn_p += options.alpha * second.p;
                turn_c = options.alpha * second.c;
            }
            number to_p = row.how.slope(row.raw(k)) * turn_p, to_c = 0;
            const double bend = row.how.slope_of_slope(row.raw(k)) * direction.raw_p(k);
            if (bend != 0) to_p += bend * slope_p;
            if (options.alpha != 0) {
                to_c = row.slope_c(k) * turn_c;
                const double bend_c = row.slope_of_slope_c(k) * direction.raw_c(k);
                if (bend_c != 0) to_c += bend_c * slope_c;
            }
            gradients.put(gradients.p, k, gradients.factor * to_p);
            gradients.put(gradients.c, k, gradients.factor * to_c);
        }
    };
    if (options.alpha == 0) {
        const auto nothing = [](auto&&...) { return divergence_slope<number>{}; };
        write(nothing, nothing);
        return fault::none;
    }
    if (options.kl_target == kl_target::label) {
        const label_divergence<T, Difference> divergence(row, target);
        const label_turn<T, Difference> turn(divergence, direction, options.flow);
        write([&](std::ptrdiff_t k, auto&&...) { return divergence.slope(k, options.flow); },
              [&](std::ptrdiff_t k, auto&&...) { return turn(k); });
        return divergence.is_finite() ? fault::none : fault::not_finite;
    }
    const measured paired(row);
    const prediction_divergence<logit_pairs<T, Difference>> divergence(row, paired.state, limit);
    const prediction_turn<T, Difference> turn(divergence, along, state, options.flow);
    write([&](std::ptrdiff_t k, const auto& a, const auto& e) { return divergence.slope(k, a, e, options.flow); }, turn);
    return divergence.is_finite() ? fault::none : fault::not_finite;
}

template <class T, class Difference>
row_status loss_hvp_rows(const batch<T>& rows, const loss_direction<T>& direction, const loss_options& options, double limit) {
    using number = detail::number_of<Difference>;
    const number divisor = rows.template weigh<Difference>().divisor;
    row_status status;
    for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
        gradient_rows<T, number> gradients = rows.template gradients<number>(i);
        const number weight = rows.weight(i);
        if (weight == 0) {
            gradients.fill(rows.classes(), 0);
            continue;
        }
        gradients.factor = weight * rows.upstream(i) / divisor;
        const auto row = rows.template logits<Difference>(i);
        const row_direction<T, Difference> along{row, direction.p ? direction.p.row(i) : vector_view<const T>{},
                                                 direction.c && rows.c.data ? direction.c.row(i) : vector_view<const T>{}};
        const fault what = loss_hvp(row, rows.target(i), along, options, limit, gradients);
        if (what != fault::none && status.rows++ == 0) status = {what, i, 1};
    }
    return status;
}

} // namespace scalar_row

template <class T>
row_status loss_hvp(scalar_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                    const loss_direction<T>& direction, const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    const scalar_row::batch<T> rows{p, c, labels, options, arrays};
    return scalar_row::with_precision<T>(options.precision, [&]<class Difference>(Difference, double limit) {
        return scalar_row::loss_hvp_rows<T, Difference>(rows, direction, options, limit);
    });
}

} // namespace car::inline CAR_ABI::kernel
