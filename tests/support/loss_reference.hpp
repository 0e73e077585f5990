// SPDX-License-Identifier: Apache-2.0
#pragma once

// The loss of one row with every option, in 113-bit arithmetic, from the formulas of its contract.

#include "row_reference.hpp"

#include <cmath>
#include <limits>

namespace reference {

wide inline tangent(wide x) { return -expm1q(-2 * x) / (1 + expq(-2 * x)); }

/// How a logit is read, and the slope of that.
struct reading {
    wide scale = 1, cap = 0, temperature = 1; // cap 0: none

    wide value(wide x) const { return (cap == 0 || masked(x) ? scale * x : cap * tangent(scale * x / cap)) / temperature; }
    wide slope(wide x) const {
        const wide t = cap == 0 ? 0 : tangent(scale * x / cap);
        return scale * (1 - t * t) / temperature;
    }
};

/// One row: `target` are its labels' probabilities, one of them 1 where the label is a class.
struct loss_row {
    row logits;
    std::vector<wide> target, smoothed;
    wide mass = 0, cross_entropy = 0, divergence = 0, lse_p = 0, lse_y = 0;
    wide entropy_scale = 0, divergence_scale = 0; ///< sums of magnitudes: what errors of the two are measured in
    std::size_t predicted = 0;

    loss_row(const std::vector<wide>& p, const std::vector<wide>& c, std::vector<wide> labels, wide smoothing, car::kl_target against)
        : logits(p, c, 0), target(std::move(labels)), smoothed(target), lse_p(logits.factual.value_of_log_sum()),
          lse_y(logits.corrected.value_of_log_sum()), predicted(logits.factual.peak) {
        wide live = 0;
        for (wide v : p) live += !masked(v);
        for (std::size_t k = 0; k != p.size(); ++k) {
            smoothed[k] = (1 - smoothing) * target[k] + (masked(p[k]) ? 0 : smoothing / live);
            mass += smoothed[k];
            add(cross_entropy, entropy_scale, smoothed[k], [&] { return logits.factual.cross_entropy(p[k]); });
            if (against == car::kl_target::label)
                add(divergence, divergence_scale, target[k],
                    [&] { return (masked(p[k]) ? -p[k] : logits.corrected.cross_entropy(p[k] - c[k])) + logq(target[k]); });
        }
        if (against == car::kl_target::prediction) divergence = divergence_scale = logits.divergence;
    }

    template <class Term>
    static void add(wide& sum, wide& scale, wide weight, Term term) {
        if (weight == 0) return;
        sum += weight * term();
        scale += magnitude(weight * term());
    }

    /// P mass - target of the cross-entropy, and what its error is measured in.
    wide entropy_slope(std::size_t k) const { return (masked(logits.p[k]) ? 0 : logits.P[k] * mass) - smoothed[k]; }
    wide entropy_slope_scale(std::size_t k) const { return logits.P[k] * magnitude(mass) + magnitude(smoothed[k]); }

    wide label_slope(std::size_t k) const {
        wide label_mass = 0;
        for (wide t : target) label_mass += t;
        return logits.Y[k] * label_mass - target[k];
    }
    wide slope_p(std::size_t k, car::flow flow, car::kl_target against) const {
        if (masked(logits.p[k])) return 0;
        return against == car::kl_target::label ? label_slope(k) : logits.slope_p(k, flow, against);
    }
    wide slope_c(std::size_t k, car::flow flow, car::kl_target against) const {
        if (masked(logits.p[k]) || flow == car::flow::stop_target || flow == car::flow::stop_counterfactual) return 0;
        return against == car::kl_target::label ? -label_slope(k) : logits.slope_c(k, flow, against);
    }
    /// What the errors of both slopes are measured in, at most.
    wide divergence_slope_scale(std::size_t k, car::flow flow, car::kl_target against) const {
        if (against == car::kl_target::label) return logits.Y[k] + magnitude(target[k]);
        return logits.scale_p(k, flow) + logits.scale_c(k);
    }
};

} // namespace reference
