// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/loss.hpp" // the loop over the rows; rows and options that are not covered
#include "declarations.hpp"   // what this header defines
#include "row.hpp"            // blocks of a row as Eigen arrays

namespace car::inline CAR_ABI::kernel {

namespace eigen_row {

/// phi(x) = exp(-x) - 1 + x = x^2/2 (1 - x/3 (1 - x/4 (1 - ...))), where the printed terms cancel.
template <class Wide>
lanes<Wide> phi(const lanes<Wide>& x) {
    lanes<Wide> series = lanes<Wide>::Ones(x.size());
    for (int k = 20; k != 2; --k) series = 1 - x * series / Wide(k);
    const lanes<Wide> near = x * x * series / 2, far = (-x).exp() - 1 + x;
    return (x.abs() < Wide(0.5)).select(near, far);
}

/// e phi(x) of e = exp(a). Below -2 as exp(a - x) - e (1 - x): e may vanish where exp(a - x) does not.
template <class Wide>
lanes<Wide> weighted_phi(const lanes<Wide>& a, const lanes<Wide>& e, const lanes<Wide>& x) {
    const lanes<Wide> low = (a - x).exp() - e * (1 - x), high = e * phi(x);
    return (x < Wide(-2)).select(low, high);
}

/// e (1 - exp(-x)), likewise.
template <class Wide>
lanes<Wide> weighted_fall(const lanes<Wide>& a, const lanes<Wide>& e, const lanes<Wide>& x) {
    const lanes<Wide> low = e - (a - x).exp(), near = e * (x - phi(x)), far = e * (1 - (-x).exp());
    const lanes<Wide> high = (x.abs() < Wide(0.5)).select(near, far);
    return (x < Wide(-2)).select(low, high);
}

/// KL(P || Y) of a row as log E_P[exp(-x)], x = c - E_P[c]: log1p of the mean of phi(x), or where that would overflow, with a maximum of
/// its own.
template <class Wide>
struct divergence {
    Wide centre = 0; ///< the c of the largest p
    Wide mean = 0;   ///< E_P[c] from there
    Wide value = 0;

    template <class Logits, class Counterfactual>
    divergence(Index size, const measured<Wide>& row, Logits p, Counterfactual c) {
        centre = c(row.peak, 1)[0];
        const auto x = [&](Index begin, Index count) -> lanes<Wide> { return c(begin, count) - centre - mean; };
        const auto add_drift = [&] { // once more where the centre is an outlier
            Wide drift = 0;
            for_each_block(size, [&](Index begin, Index count) { drift += ((p(begin, count) - row.max).exp() * x(begin, count)).sum(); });
            mean += drift / row.sum();
        };
        add_drift();
        add_drift();
        Wide excess = 0, highest = -std::numeric_limits<Wide>::infinity();
        for_each_block(size, [&](Index begin, Index count) {
            const lanes<Wide> a = p(begin, count) - row.max, e = a.exp(), d = x(begin, count);
            excess += weighted_phi(a, e, d).sum();
            highest = std::max(highest, (a - d).maxCoeff());
        });
        value = std::log1p(excess / row.sum());
        if (highest > 600) { // Eigen's exp stops short of infinity
            Wide sum = 0;
            for_each_block(size,
                           [&](Index begin, Index count) { sum += (p(begin, count) - row.max - x(begin, count) - highest).exp().sum(); });
            value = highest + (std::log(sum) - row.log_sum());
        }
    }
};

/// One row; false where the row or an option is not covered, and then nothing is written.
template <class T, class Difference>
bool loss(const scalar_row::logit_pairs<T, Difference>& row, std::ptrdiff_t label, const loss_options& options, bool wants_lse_y,
          const scalar_row::gradient_rows<T, double>& gradients, scalar_row::row_result<double>& result) {
    using Wide = wide<T>;
    using values = lanes<Wide>;
    const double scale = row.how.scale;
    const Index size = row.size();
    const bool reads_c = options.alpha != 0 || wants_lse_y;
    const auto p = [&](Index begin, Index count) { return read(row.values, begin, count, scale); };
    const auto c = [&](Index begin, Index count) { return read(row.counterfactual, begin, count, scale, row.strength); };
    bool is_finite = true;
    if (reads_c) for_each_block(size, [&](Index begin, Index count) { is_finite = is_finite && finite(c(begin, count)); });
    const auto whole = measure<Wide>(size, p);
    if (!whole.finite || !is_finite) return false;

    const Wide at_label = p(label, 1)[0] - whole.max;
    result.cross_entropy = static_cast<double>(whole.log_sum() - at_label);
    result.lse_p = static_cast<double>(whole.max + whole.log_sum());
    result.predicted = whole.peak;
    Wide kl = 0, centre = 0, mean = 0;
    if (reads_c) {
        const divergence<Wide> found(size, whole, p, c);
        kl = found.value;
        centre = found.centre;
        mean = found.mean;
        if (options.alpha != 0) result.divergence = static_cast<double>(kl);
        if (wants_lse_y) result.lse_y = static_cast<double>(kl - mean - centre + whole.max + whole.log_sum());
    }
    if (!gradients) return true;

    const Wide others = label == whole.peak ? whole.rest : whole.sum() - std::exp(at_label);
    for_each_block(size, [&](Index begin, Index count) {
        const values a = p(begin, count) - whole.max, e = a.exp();
        values to_p = e, to_c = values::Zero(count);
        if (label >= begin && label < begin + count) to_p[label - begin] = -others;
        if (options.alpha != 0) {
            const auto alpha = static_cast<Wide>(options.alpha);
            const values x = c(begin, count) - centre - mean, w = x + kl;
            const values fall = weighted_fall(a, e, w);
            switch (options.flow) {
            case flow::full:
            case flow::stop_counterfactual: to_p += alpha * (weighted_phi(a, e, w) - e * kl); break;
            case flow::stop_target: to_p += alpha * e * x; break;
            case flow::stop_factual: to_p -= alpha * fall; break;
            }
            if (options.flow == flow::full || options.flow == flow::stop_factual) to_c = alpha * fall;
        }
        const Wide factor = static_cast<Wide>(gradients.factor) * static_cast<Wide>(scale) / whole.sum();
        to_p *= factor;
        to_c *= factor * static_cast<Wide>(row.strength);
        for (Index k = 0; k != count; ++k) {
            gradients.put(gradients.p, begin + k, static_cast<double>(to_p[k]));
            gradients.put(gradients.c, begin + k, static_cast<double>(to_c[k]));
        }
    });
    return true;
}

/// The options that an Eigen row covers: class indices, KL(P || Y), every flow, strength, temperature and logit scale.
template <class T>
bool covers(const targets<T>& labels, const loss_options& options, const loss_arrays<T>& arrays) {
    return !labels.are_probabilities() && !arrays.class_mask && options.kl_target == kl_target::prediction && !options.softcap &&
           options.label_smoothing == 0 && options.z_weight == 0 && options.precision != precision::highest;
}

} // namespace eigen_row

template <class T>
loss_result loss(eigen_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    if constexpr (eigen_row::takes<T>) {
        if (eigen_row::covers(labels, options, arrays)) {
            using difference = scalar_row::exact_enough<T>;
            return scalar_row::loss_rows<T, difference>(
                {p, c, labels, options, arrays}, options, arrays, 0,
                [&](const auto& row, const auto& target, const auto&, double limit, bool wants_lse_y, const auto& gradients) {
                    scalar_row::row_result<double> result;
                    if (eigen_row::loss(row, target.label, options, wants_lse_y, gradients, result)) return result;
                    return scalar_row::loss(row, target, options, limit, wants_lse_y, gradients);
                });
        }
    }
    return loss(scalar_backend{}, p, c, labels, options, arrays);
}

} // namespace car::inline CAR_ABI::kernel
