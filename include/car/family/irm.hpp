// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/environments.hpp" // risks and slopes of environments

namespace car::inline CAR_ABI {

/// Of the slope of an environment's risk: its square, or the product of the slopes of two halves of its rows, which is unbiased and may
/// be negative.
enum class irm_penalty { square, halves };

struct irm_options {
    double penalty_weight = 1; ///< lambda
    enum irm_penalty penalty = irm_penalty::square;
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean; ///< over environments
};

template <class T>
struct irm_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

/// Invariant risk minimisation: beside the risk, each environment pays for every factor that would have made its risk smaller.
///
///     value = mean over environments e of R_e + penalty_weight G_e,   R_e = mean over its rows of CE(p, y)
///     G_e = g_e^2 (square), the product of g of its rows in turns (halves),   g_e = d R_e(w p)/dw at w = 1 = mean of E_P[p] - p_y
///     d(g^2)/dp_bj = (2 g / B) (P_j (1 + p_j - E_P[p]) - [j = y]): there is no second backward pass
///
/// Shapes    p, grad_p: N x C. labels, environments: N; environments are numbered from 0. The others as car::cal.
/// Requires  as car::cal; environments in [0, N), reduction mean or sum, penalty_weight finite.
/// Numerics  in double, M = log C + the larger of 1 and the largest |p|: value within u (32 |value| + 128 |penalty_weight| M^2),
///           gradients within u (32 G + 512 |penalty_weight| M^2), G the sum of the magnitudes of their terms. A row without an answer
///           spoils its environment's risk and the value; it is reported, and so is one whose label is masked. Half of an environment
///           without a row: NaN.
/// Cost      two passes over the rows, four over each; allocates a few numbers for each environment.
/// Source    Arjovsky et al. 2019, Invariant Risk Minimization, IRMv1; halves as in DomainBed.
template <matrix P>
    requires logit<scalar_of<const P>> environments_result irm(const P& p, const label_view& labels, const label_view& environments,
                                                               const irm_options& options = {},
                                                               const irm_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 1> call("irm", {{{"p", view(p), "grad_p", arrays.grad_p}}}, labels, options, arrays);
        call.check.finite("penalty_weight", options.penalty_weight);
        return detail::over_environments(call, environments, [&](auto& all, environments_result& result) {
            const double divisor = options.reduction == reduction::mean ? static_cast<double>(result.environments) : 1;
            detail::compensated_sum risk, penalty;
            for (detail::environment& one : all) {
                if (one.rows == 0) continue;
                const bool square = options.penalty == irm_penalty::square;
                const double g[2] = {square ? one.mean_slope() : one.half_slope(0), square ? one.mean_slope() : one.half_slope(1)};
                risk.add(one.mean_risk());
                penalty.add(g[0] * g[1]);
                one.to_risk = 1 / (divisor * one.total_weight());
                for (const int half : {0, 1})
                    one.to_slope[half] =
                        options.penalty_weight / divisor * (square ? 2 * g[0] / one.total_weight() : g[1 - half] / one.half_weight(half));
            }
            result.risk = risk.value() / divisor;
            result.penalty = penalty.value() / divisor;
            result.value = result.risk + options.penalty_weight * result.penalty;
        });
    }

} // namespace car::inline CAR_ABI
