// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/logit_op.hpp" // shapes and loops

namespace car::inline CAR_ABI {

struct logit_adjustment_options {
    double strength = 1; ///< tau
};

/// Post-hoc logit adjustment: a model of long-tailed classes predicts for balanced ones. The loss of the same name is
/// car::logit_adjusted.
///
///     z[i,k] = p[i,k] - strength log_prior[k]
///
/// The gradient is upstream itself.
///
/// Shapes    p, z: N x C, any strides; z may be p itself. log_prior: C.
/// Requires  shapes that agree, C >= 1, strength finite; else throws std::invalid_argument, nothing written.
/// Numerics  within 2u (|p| + |strength log_prior|), u = 2^-53, and one rounding. p = -inf: -inf, log_prior not read; a class that was
///           never there (log_prior = -inf) is masked too, for a model knows nothing of it.
/// Cost      one pass; allocates nothing.
/// Source    Menon et al. 2021, Long-tail Learning via Logit Adjustment, Eq. 9.
template <matrix P>
    requires logit<scalar_of<const P>>
void logit_adjustment(const P& p, vector_view<const std::type_identity_t<scalar_of<const P>>> log_prior, matrix_view<scalar_of<const P>> z,
                      const logit_adjustment_options& options = {}) {
    using T = scalar_of<const P>;
    const matrix_view<const T> logits = view(p);
    detail::checker("logit_adjustment").shape(detail::footprint_of("log_prior", log_prior), logits.cols, 1);
    const matrix_view<const T> every_row(log_prior.data, logits.rows, logits.cols, 0, log_prior.stride);
    const detail::logit_op<T, 2, 1> op("logit_adjustment", {{{"p", logits}, {"log_prior", every_row}}}, {{{"z", z}}});
    op.check.finite("strength", options.strength);
    op.run([&](std::ptrdiff_t i) {
        return [&op, &options, i](std::ptrdiff_t k) -> std::array<double, 1> {
            const double factual = op(0, i, k), prior = op(1, i, k);
            if (factual == -detail::infinity || prior == -detail::infinity) return {-detail::infinity};
            return {std::fma(-options.strength, prior, factual)};
        };
    });
}

} // namespace car::inline CAR_ABI
