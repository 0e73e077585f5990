// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // simd_backend
#include "blocks.hpp"        // rows for several threads
#include "columns.hpp"       // copies of rows that lie in columns
#include "dispatch.hpp"      // the kernels for this machine

namespace car::inline CAR_ABI::kernel {

namespace simd_row {

/// Class indices, KL(P || Y), every flow, smoothing and z-loss; the rest is the scalar backend's.
template <class T>
bool covers(const targets<T>& labels, const loss_options& options, const loss_arrays<T>& arrays) {
    const bool against_prediction = options.kl_target == kl_target::prediction || (options.alpha == 0 && !arrays.lse_y);
    return !labels.are_probabilities() && against_prediction && !options.softcap && options.precision != precision::highest;
}

/// A row that is left to the scalar backend.
template <class T>
scalar_row::row_result<double> loss_of_row(const scalar_row::batch<T>& rows, std::ptrdiff_t i, double factor, const loss_options& options,
                                           bool wants_lse_y) {
    auto gradients = rows.template gradients<double>(i);
    gradients.factor = factor;
    return scalar_row::loss(rows.template logits<scalar_row::exact_enough<T>>(i), rows.target(i), options, scalar_row::spare_condition<T>,
                            wants_lse_y, gradients);
}

/// A group of rows from `begin` on.
template <class T>
void loss_of_group(const scalar_row::batch<T>& rows, const settings& how, const loss_options& options, const loss_arrays<T>& arrays,
                   const scalar_row::loss_call<T, double>& call, std::ptrdiff_t begin, std::ptrdiff_t end,
                   scalar_row::loss_sums<double>& sums) {
    wanted_row list[group_rows];
    double weights[group_rows];
    unsigned wanted = 0;
    scalar_row::row_result<double> results[group_rows];
    for (std::ptrdiff_t i = begin; i != end; ++i) {
        const double weight = weights[i - begin] = rows.weight(i);
        if (weight == 0) continue;
        wanted |= 1u << (i - begin);
        list[i - begin] = {i, rows.target(i).label, call.factor(weight, rows.upstream(i))};
    }
    const auto solve = [&](const scalar_row::batch<T>& some, const settings& as, const wanted_row* which, unsigned bits) {
        return dispatch([&](auto kernels) { return kernels.loss(some, as, which, bits, results); });
    };
    const unsigned solved = how.in_columns ? row_copies<T>::solve(rows, how, list, wanted, solve) : solve(rows, how, list, wanted);
    for (std::ptrdiff_t i = begin; i != end; ++i) {
        const std::ptrdiff_t at = i - begin;
        if (weights[at] == 0) {
            call.ignore(i, sums);
            continue;
        }
        if (!(solved >> at & 1)) results[at] = loss_of_row(rows, i, list[at].factor, options, static_cast<bool>(arrays.lse_y));
        call.add(i, weights[at], results[at].predicted == list[at].label, results[at], sums);
        if (std::is_same_v<T, double>) sums.close_part(); // no digits to spare
    }
    sums.close_part();
}

/// The rows in blocks that depend on their number alone, so that the sums have the same bits on any number of threads.
template <class T, class Executor>
loss_result loss_rows(const scalar_row::batch<T>& rows, const loss_options& options, const loss_arrays<T>& arrays, const Executor& run) {
    const double scale = options.logit_scale / options.temperature;
    const settings how{options.alpha,
                       options.label_smoothing,
                       options.z_weight,
                       options.flow,
                       options.alpha != 0 || static_cast<bool>(arrays.lse_y),
                       arrays.lse_p || arrays.lse_y || options.z_weight != 0,
                       arrays.grad_p || arrays.grad_c,
                       is_power_of_two(scale) && is_power_of_two(options.strength),
                       options.precision == precision::fast,
                       rows.size() * rows.classes() >= least_streamed,
                       row_copies<T>::suit(rows)};
    const scalar_row::loss_call<T, double> call(rows, options, arrays);
    const std::ptrdiff_t numbers = rows.size() * rows.classes();
    if (numbers < least_shared) { // a few rows, whose sums need no blocks
        scalar_row::loss_sums<double> sums;
        for (std::ptrdiff_t begin = 0; begin < rows.size(); begin += group_rows)
            loss_of_group(rows, how, options, arrays, call, begin, std::min(begin + group_rows, rows.size()), sums);
        return call.result(sums);
    }
    const row_blocks blocks(rows.size());
    scalar_row::loss_sums<double> sums[row_blocks::most];
    blocks.for_each(run, numbers, [&](std::ptrdiff_t block) {
        for (std::ptrdiff_t begin = blocks.begin(block); begin < blocks.end(block); begin += group_rows)
            loss_of_group(rows, how, options, arrays, call, begin, std::min(begin + group_rows, blocks.end(block)), sums[block]);
    });
    for (std::ptrdiff_t block = 1; block < blocks.count(); ++block) sums[0].add(sums[block]);
    return call.result(sums[0]);
}

} // namespace simd_row

template <class Executor, class T>
loss_result loss(const simd_on<Executor>& on, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    if (simd_row::covers(labels, options, arrays)) return simd_row::loss_rows<T>({p, c, labels, options, arrays}, options, arrays, on.run);
    return loss(scalar_backend{}, p, c, labels, options, arrays);
}

template <class T>
loss_result loss(simd_backend on, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    return loss(on.on(simd_row::alone), p, c, labels, options, arrays);
}

} // namespace car::inline CAR_ABI::kernel
