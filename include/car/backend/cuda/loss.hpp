// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"           // cuda_backend
#include "../../detail/check_loss.hpp" // shapes, options, overlaps
#include "arrays.hpp"                  // device_loss_arrays
#include "status.hpp"                  // launch_status

namespace car::inline CAR_ABI {

namespace kernel {

/// Defined in the library car::cuda, for float, double, bfloat16 and float16.
template <class T>
launch_status loss(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                   const device_labels& labels, const loss_options& options, const device_loss_arrays<T>& arrays) noexcept;

} // namespace kernel

namespace detail {

/// What the loss asks of its arguments where they are on a device: all that it asks on the host but for the values of arrays.
template <class T>
void check_device_loss(const checker& check, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                       const device_labels& labels, const loss_options& options, const device_loss_arrays<T>& arrays) {
    check.readable(footprint_of("p", p));
    if (options.alpha != 0 || arrays.lse_y || c.data != nullptr) check.shape(footprint_of("c", c), p.rows, p.cols);
    check.shape(footprint_of("labels", labels), p.rows, 1);
    check_loss_options(check, options);
    check.require(options.reduction != reduction::none || arrays.row_loss || p.rows == 0,
                  "row_loss is null, expected N elements for reduction::none");

    const auto optional = [&](const footprint& m, std::ptrdiff_t rows, std::ptrdiff_t cols) {
        if (m.data != nullptr) check.shape(m, rows, cols);
        return m;
    };
    const auto upstream = optional(footprint_of("upstream", arrays.upstream), p.rows, 1);
    const auto weight = optional(footprint_of("weight", arrays.weight), p.cols, 1);
    const auto sample_weight = optional(footprint_of("sample_weight", arrays.sample_weight), p.rows, 1);
    const auto row_mask = optional(footprint_of("row_mask", arrays.row_mask), p.rows, 1);
    const bool may_be_in_place = options.gradients == gradients::overwrite;
    check.separate({{optional(footprint_of("grad_p", arrays.grad_p), p.rows, p.cols), may_be_in_place ? p.data : nullptr},
                    {optional(footprint_of("grad_c", arrays.grad_c), p.rows, p.cols), may_be_in_place ? c.data : nullptr},
                    {optional(footprint_of("row_loss", arrays.row_loss), p.rows, 1)},
                    {optional(footprint_of("row_cross_entropy", arrays.row_cross_entropy), p.rows, 1)},
                    {optional(footprint_of("row_divergence", arrays.row_divergence), p.rows, 1)},
                    {optional(footprint_of("lse_p", arrays.lse_p), p.rows, 1)},
                    {optional(footprint_of("lse_y", arrays.lse_y), p.rows, 1)},
                    {optional(footprint_of("predicted", arrays.predicted), p.rows, 1)},
                    {optional(footprint_of("result", arrays.result), 1, 1)},
                    {footprint_of("workspace", arrays.workspace)}},
                   {footprint_of("p", p), footprint_of("c", c), footprint_of("labels", labels), upstream, weight, sample_weight, row_mask});
}

} // namespace detail

/// The loss of Causal Action Recognition on a device: car::loss, asynchronous.
///
///     as car::loss in <car/loss.hpp>, for labels that are classes
///
/// Shapes    as car::loss; rows any distance apart, columns 1 apart. All memory is on the device; a view of the host's does not compile.
/// Requires  what car::loss requires of shapes and options, else throws std::invalid_argument. Values on the device are not read by the
///           call: a label out of range makes its row NaN, its gradients 0, and is reported as fault::bad_label. precision::highest of
///           double and empty::error are refused as launch::not_supported. A result, or a mean without `divisor`, needs a workspace.
/// Numerics  the bounds of car::loss for precision::accurate, which is the answer to fast too, and for highest. No result depends on what
///           a device makes of ex2, lg2 or denormals, on the order of its threads or on other rows. Special values as car::loss.
/// Cost      each input read once and each gradient written once where a row fits in the memory of a block or cluster, else 5 reads;
///           at most 5 launches; allocates nothing, waits for nothing, and may be captured in a graph. strength, temperature,
///           logit_scale, softcap, label_smoothing, kl_target::label, gradients::accumulate and precision::highest have kernels that
///           compute in double, and read each row in every pass.
/// Source    OccludeNet, Eq. 2 to 4.
template <class T>
    requires logit<std::remove_const_t<T>> launch_status loss(const cuda_backend& on, const matrix_view<T, device>& p,
                                                              device_input<std::remove_const_t<T>> c, const device_labels& labels,
                                                              const loss_options& options = {},
                                                              const device_loss_arrays<std::remove_const_t<T>>& arrays = {}) {
        using Logit = std::remove_const_t<T>;
        const matrix_view<const Logit, device> factual = p;
        detail::check_device_loss(detail::checker("loss"), factual, c, labels, options, arrays);
        return kernel::loss(on, factual, c, labels, options, arrays);
    }

} // namespace car::inline CAR_ABI
