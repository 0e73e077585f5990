// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"      // cuda_backend
#include "../../detail/check.hpp" // shapes, overlaps
#include "arrays.hpp"             // views of a device
#include "status.hpp"             // launch_status

namespace car::inline CAR_ABI {

struct device_effect_options {
    std::int64_t ignore_index = -100;
    std::int64_t draws = 1; ///< M counterfactuals of each row: row i of draw m is row m N + i of c
};

/// What an effect on a device comes to. An interval is made of it on the host.
struct device_effect {
    double mean = 0;
    double standard_error = 0; ///< NaN for fewer than two rows
    std::int64_t count = 0;    ///< rows that are not ignored
    row_status status = {};
};

/// The arrays of an effect on a device. `result` needs the workspace.
template <class T>
struct device_effect_arrays {
    vector_view<term_of<T>, device> row_effect = {}; ///< N; 0 where ignored
    vector_view<device_effect, device> result = {};  ///< 1
    vector_view<std::byte, device> workspace = {};   ///< effect_workspace(N, M) bytes, begins at a multiple of 16
};

/// How many bytes the workspace of an effect has.
constexpr std::ptrdiff_t effect_workspace(std::ptrdiff_t rows, std::ptrdiff_t draws = 1) {
    using kernel::device_row::chunks, kernel::device_row::part_bytes;
    return (1 + chunks(rows)) * part_bytes + (1 + draws) * rows * static_cast<std::ptrdiff_t>(sizeof(double));
}

namespace kernel {

/// Defined in the library car::cuda, for float, double, bfloat16 and float16.
template <class T>
launch_status effect(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                     const device_labels& labels, const device_effect_options& options, const device_effect_arrays<T>& arrays) noexcept;

} // namespace kernel

/// P_effect on a device, asynchronous: how much the actor gives to the label's probability, as a paired mean over samples.
///
///     e[i] = softmax(p[i])_y - mean_m softmax(c[m,i])_y,   mean = sum e / n,   standard_error^2 = sum (e - mean)^2 / (n (n - 1))
///
/// Shapes    p: N x C. c: (M N) x C, draw after draw. labels: N. Columns 1 apart, all memory on the device.
/// Requires  shapes that agree, C >= 1, M >= 1; else throws std::invalid_argument. No workspace is launch::no_workspace.
/// Numerics  each probability within 4u, e within 8u of 1; mean and standard error of the e in sums of two doubles, the same bits in any
///           order of threads. A row without probabilities makes its effect and the mean NaN and is reported, as is a label out of range.
/// Cost      each row read once where it fits in the memory of a block or cluster; four launches; allocates nothing.
/// Source    OccludeNet, Eq. 1.
template <class T>
    requires logit<std::remove_const_t<T>> launch_status effect(const cuda_backend& on, const matrix_view<T, device>& p,
                                                                device_input<std::remove_const_t<T>> c, const device_labels& labels,
                                                                const device_effect_options& options,
                                                                const device_effect_arrays<std::remove_const_t<T>>& arrays) {
        const matrix_view<const std::remove_const_t<T>, device> factual = p;
        const detail::checker check("effect");
        const auto left = detail::footprint_of("p", factual), right = detail::footprint_of("c", c);
        const auto row_effect = detail::footprint_of("row_effect", arrays.row_effect),
                   result = detail::footprint_of("result", arrays.result);
        check.readable(left);
        if (options.draws < 1) check.fail("draws is " + std::to_string(options.draws) + ", expected at least 1");
        check.shape(right, options.draws * factual.rows, factual.cols);
        check.shape(detail::footprint_of("labels", labels), factual.rows, 1);
        if (row_effect.data) check.shape(row_effect, factual.rows, 1);
        if (result.data) check.shape(result, 1, 1);
        check.separate({{row_effect}, {result}, {detail::footprint_of("workspace", arrays.workspace)}},
                       {left, right, detail::footprint_of("labels", labels)});
        return kernel::effect(on, factual, c, labels, options, arrays);
    }

} // namespace car::inline CAR_ABI
