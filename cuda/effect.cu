// SPDX-License-Identifier: Apache-2.0
// P_effect on a device, for every type of logits.
#include <car/backend/cuda/effect.hpp>
#include <car/cuda/effect.cuh>

namespace car::inline CAR_ABI::kernel {

template <class T>
launch_status effect(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                     const device_labels& labels, const device_effect_options& options, const device_effect_arrays<T>& arrays) noexcept {
    using namespace device_row;
    char* const workspace = reinterpret_cast<char*>(arrays.workspace.data);
    if (!workspace || arrays.workspace.stride != 1 || arrays.workspace.size < effect_workspace(p.rows, options.draws) ||
        reinterpret_cast<std::uintptr_t>(workspace) % 16 != 0)
        return {launch::no_workspace, "workspace of fewer than effect_workspace(N, M) bytes, or not aligned"};
    auto* const parts = reinterpret_cast<effect_sums*>(workspace);
    auto* const probability = reinterpret_cast<double*>(workspace + (1 + chunks(p.rows)) * part_bytes);
    const auto take = [&](const matrix_view<const T, device>& logits, double* to) {
        return run_on(probability_rows<T>{logits, integers(labels), to, p.rows, logits.rows, logits.cols}, layout(logits), on, "effect");
    };
    if (const launch_status status = take(p, probability); !status.ok()) return status;
    if (const launch_status status = take(c, probability + p.rows); !status.ok()) return status;
    const std::int64_t blocks = p.rows == 0 ? 1 : chunks(p.rows);
    add_effects<term_of<T>><<<static_cast<unsigned>(blocks), total_threads, 0, on.stream>>>(
        probability, integers(labels), p.rows, options.draws, options.ignore_index, arrays.row_effect, parts);
    if (const launch_status status = launched("effect"); !status.ok() || !arrays.result) return status;
    finish_effects<term_of<T>><<<1, total_threads, 0, on.stream>>>(parts, blocks, arrays.result.data);
    return launched("effect");
}

template launch_status effect(cuda_backend, const matrix_view<const float, device>&, const matrix_view<const float, device>&,
                              const device_labels&, const device_effect_options&, const device_effect_arrays<float>&) noexcept;
template launch_status effect(cuda_backend, const matrix_view<const double, device>&, const matrix_view<const double, device>&,
                              const device_labels&, const device_effect_options&, const device_effect_arrays<double>&) noexcept;
template launch_status effect(cuda_backend, const matrix_view<const bfloat16, device>&, const matrix_view<const bfloat16, device>&,
                              const device_labels&, const device_effect_options&, const device_effect_arrays<bfloat16>&) noexcept;
template launch_status effect(cuda_backend, const matrix_view<const float16, device>&, const matrix_view<const float16, device>&,
                              const device_labels&, const device_effect_options&, const device_effect_arrays<float16>&) noexcept;

} // namespace car::inline CAR_ABI::kernel
