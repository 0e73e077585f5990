// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "../../options.hpp" // loss_options, loss_arrays, loss_result
#include "divergence.hpp"    // KL(P || Y) and its slopes
#include "sums.hpp"          // what the rows come to

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

/// Writes the gradients, column by column, each read before it is written: the gradients may lie where p and c are.
template <class T, class Difference, class Slope, class SlopeOfDivergence>
void write_gradients(const logit_pairs<T, Difference>& row, const basic_row_state<Difference>& state, double alpha,
                     const gradient_rows<T, detail::number_of<Difference>>& gradients, Slope slope, SlopeOfDivergence slope_of_divergence) {
    using number = detail::number_of<Difference>;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        const Difference p = row(k), a = p - state.max;
        const bool live = detail::rounded(p) != -infinity;
        const number e = live ? detail::exp(a) : number(0);
        number slope_p = slope(k, a, e, live), slope_c = 0;
        if (live && alpha != 0) {
            const divergence_slope<number> part = slope_of_divergence(k, a, e);
            slope_p += alpha * part.p;
            slope_c = alpha * part.c;
        }
        const number to_p = gradients.factor * row.how.slope(row.raw(k)) * slope_p;
        const number to_c = slope_c == 0 ? number(0) : gradients.factor * row.slope_c(k) * slope_c;
        gradients.put(gradients.p, k, to_p);
        gradients.put(gradients.c, k, to_c);
    }
}

template <class T, class Difference>
auto loss(const logit_pairs<T, Difference>& row, const row_target<T>& target, const loss_options& options, double limit, bool wants_lse_y,
          const gradient_rows<T, detail::number_of<Difference>>& gradients) {
    using number = detail::number_of<Difference>;
    const bool reads_c = options.alpha != 0 || wants_lse_y;
    const bool against_prediction = reads_c && options.kl_target == kl_target::prediction;
    const auto refuse = [&](fault what) {
        gradients.fill(row.size(), what == fault::masked_row ? 0 : detail::no_number);
        row_result<number> result{detail::no_number, options.alpha != 0 ? detail::no_number : 0, detail::no_number};
        result.what = what;
        return result;
    };
    const auto finish_row = [&](const auto& whole) {
        if (!whole.is_finite()) return refuse(whole.what());
        const auto& state = whole.state;
        const smoothed_cross_entropy<T, logits<T, Difference>, basic_row_state<Difference>> ce(target, row, state, options.label_smoothing);
        if (!std::isfinite(detail::rounded(ce.mass))) return refuse(fault::not_finite);

        row_result<number> result;
        result.cross_entropy = ce.value;
        result.lse_p = detail::sum(state.max, detail::log1p(state.rest));
        result.predicted = whole.peak;
        const auto slope = [&](std::ptrdiff_t k, const Difference& a, const number& e, bool live) {
            number all = ce.slope(k, a, e, live);
            if (options.z_weight != 0 && live) all += 2 * options.z_weight * result.lse_p * (e / state.sum());
            return all;
        };
        const auto with_divergence = [&](const auto& divergence, auto slope_of_divergence) {
            if (wants_lse_y) result.lse_y = divergence.log_sum_exp_y();
            if (options.alpha != 0) {
                result.divergence = divergence.value();
                if (std::isnan(detail::rounded(result.divergence))) result.what = fault::not_finite;
            }
            if (gradients) write_gradients(row, state, options.alpha, gradients, slope, slope_of_divergence);
        };
        if constexpr (std::remove_cvref_t<decltype(whole)>::has_counterfactual) {
            const prediction_divergence<logit_pairs<T, Difference>> divergence(row, state, limit);
            with_divergence(divergence,
                            [&](std::ptrdiff_t k, const auto& a, const number& e) { return divergence.slope(k, a, e, options.flow); });
        } else if (reads_c) {
            const label_divergence<T, Difference> divergence(row, target);
            with_divergence(divergence, [&](std::ptrdiff_t k, const auto&, const number&) { return divergence.slope(k, options.flow); });
        } else if (gradients) {
            write_gradients(row, state, 0, gradients, slope, [](auto&&...) { return divergence_slope<number>{}; });
        }
        return result;
    };
    if (against_prediction) return finish_row(measured(row));
    return finish_row(measured(static_cast<const logits<T, Difference>&>(row)));
}

/// All rows of a call, each by `loss_of_row`, which is given what `loss` above is.
template <class T, class Difference, class LossOfRow>
loss_result loss_rows(const batch<T>& rows, const loss_options& options, const loss_arrays<T>& arrays, double limit,
                      LossOfRow loss_of_row) {
    using number = detail::number_of<Difference>;
    const loss_call<T, Difference> call(rows, options, arrays);
    loss_sums<Difference> sums;
    for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
        const double weight = rows.weight(i);
        if (weight == 0) {
            call.ignore(i, sums);
        } else {
            gradient_rows<T, number> gradients = rows.template gradients<number>(i);
            gradients.factor = call.factor(weight, rows.upstream(i));
            const row_target<T> target = rows.target(i);
            const std::ptrdiff_t wanted = target.first_choice(); // the gradient may take the place of the probabilities, if they are p's
            const auto row =
                loss_of_row(rows.template logits<Difference>(i), target, options, limit, static_cast<bool>(arrays.lse_y), gradients);
            call.add(i, weight, row.predicted == wanted, row, sums);
        }
        sums.close_part();
    }
    return call.result(sums);
}

} // namespace scalar_row

/// Rows one after the other. The arguments have been checked.
template <class T>
loss_result loss(scalar_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    const scalar_row::batch<T> rows{p, c, labels, options, arrays};
    return scalar_row::with_precision<T>(options.precision, [&]<class Difference>(Difference, double limit) {
        return scalar_row::loss_rows<T, Difference>(rows, options, arrays, limit,
                                                    [](const auto&... row) { return scalar_row::loss(row...); });
    });
}

} // namespace car::inline CAR_ABI::kernel
