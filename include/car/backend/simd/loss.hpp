// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // simd_backend
#include "dispatch.hpp"      // the kernels for this machine

namespace car::inline CAR_ABI::kernel {

namespace simd_row {

/// Rows of float or less, class indices, KL(P || Y), every flow, smoothing and z-loss; the rest is the scalar backend's.
template <class T>
bool covers(const targets<T>& labels, const loss_options& options, const loss_arrays<T>& arrays) {
    const bool against_prediction = options.kl_target == kl_target::prediction || (options.alpha == 0 && !arrays.lse_y);
    return !labels.are_probabilities() && against_prediction && !options.softcap && options.precision != precision::highest;
}

template <class T>
loss_result loss_rows(const scalar_row::batch<T>& rows, const loss_options& options, const loss_arrays<T>& arrays) {
    const double scale = options.logit_scale / options.temperature;
    const settings how{options.alpha,
                       options.label_smoothing,
                       options.z_weight,
                       options.flow,
                       options.alpha != 0 || static_cast<bool>(arrays.lse_y),
                       arrays.lse_p || arrays.lse_y || options.z_weight != 0,
                       arrays.grad_p || arrays.grad_c,
                       is_power_of_two(scale) && is_power_of_two(options.strength),
                       options.precision == precision::fast};
    scalar_row::loss_sums<T, double> sums(rows, options, arrays);
    for (std::ptrdiff_t begin = 0; begin < rows.size(); begin += group_rows) {
        const std::ptrdiff_t count = std::min(group_rows, rows.size() - begin);
        wanted_row list[group_rows];
        double weights[group_rows];
        unsigned wanted = 0;
        scalar_row::row_result<double> results[group_rows];
        for (std::ptrdiff_t i = 0; i != count; ++i) {
            const double weight = weights[i] = rows.weight(begin + i);
            if (weight == 0) continue;
            wanted |= 1u << i;
            list[i] = {begin + i, rows.target(begin + i).label, sums.factor(weight, rows.upstream(begin + i))};
        }
        const unsigned solved = loss_group(rows, how, list, wanted, results);
        for (std::ptrdiff_t i = 0; i != count; ++i) {
            auto gradients = rows.template gradients<double>(begin + i);
            if (weights[i] == 0) {
                results[i] = scalar_row::ignore_row(rows, gradients);
            } else if (!(solved >> i & 1)) {
                gradients.factor = list[i].factor;
                results[i] = scalar_row::with_precision<T>(options.precision, [&]<class Difference>(Difference, double limit) {
                    return scalar_row::loss(rows.template logits<double>(begin + i), rows.target(begin + i), options, limit,
                                            static_cast<bool>(arrays.lse_y), gradients);
                });
            }
            sums.add(begin + i, weights[i], weights[i] == 0 ? -1 : list[i].label, results[i]);
        }
    }
    return sums.result();
}

} // namespace simd_row

template <class T>
loss_result loss(simd_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    if constexpr (!std::is_same_v<T, double>) {
        if (simd_row::covers(labels, options, arrays)) return simd_row::loss_rows<T>({p, c, labels, options, arrays}, options, arrays);
    }
    return loss(scalar_backend{}, p, c, labels, options, arrays);
}

} // namespace car::inline CAR_ABI::kernel
