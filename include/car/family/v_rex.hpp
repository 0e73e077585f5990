// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/environments.hpp" // risks of environments

namespace car::inline CAR_ABI {

struct v_rex_options {
    double penalty_weight = 1; ///< beta
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean; ///< over environments
};

template <class T>
struct v_rex_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

/// Risk extrapolation: beside the mean risk of the environments, their variance.
///
///     value = R + penalty_weight (1/E) sum_e (R_e - R)^2,   R = (1/E) sum_e R_e,   R_e = mean over its rows of CE(p, y)
///     dR_e = 1/E + 2 penalty_weight (R_e - R) / E
///
/// reduction::sum gives both terms without their 1/E.
///
/// Shapes    as car::irm.
/// Requires  as car::irm.
/// Numerics  as car::irm; a row without an answer, or whose label is masked, spoils the value and every gradient. It is reported.
/// Cost      as car::irm.
/// Source    Krueger et al. 2021, Out-of-Distribution Generalization via Risk Extrapolation.
template <matrix P>
    requires logit<scalar_of<const P>> environments_result v_rex(const P& p, const label_view& labels, const label_view& environments,
                                                                 const v_rex_options& options = {},
                                                                 const v_rex_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 1> call("v_rex", {{{"p", view(p), "grad_p", arrays.grad_p}}}, labels, options, arrays);
        call.check.finite("penalty_weight", options.penalty_weight);
        return detail::over_environments(call, environments, [&](auto& all, environments_result& result) {
            const auto count = static_cast<double>(result.environments), divisor = options.reduction == reduction::mean ? count : 1;
            detail::compensated_sum risk, penalty;
            for (const detail::environment& one : all)
                if (one.rows != 0) risk.add(one.mean_risk());
            const double mean = risk.value() / count;
            for (detail::environment& one : all) {
                if (one.rows == 0) continue;
                const double apart = one.mean_risk() - mean;
                penalty.add(apart * apart);
                one.to_risk = (1 + 2 * options.penalty_weight * apart) / (divisor * one.total_weight());
            }
            result.risk = risk.value() / divisor;
            result.penalty = penalty.value() / divisor;
            result.value = result.risk + options.penalty_weight * result.penalty;
        });
    }

} // namespace car::inline CAR_ABI
