// SPDX-License-Identifier: Apache-2.0
// car::loss on a device, for every type of logits.
#include <car/backend/cuda/loss.hpp>
#include <car/cuda/loss.cuh>
#include <car/cuda/total.cuh>

#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI::kernel {

namespace device_row {

/// What no kernel takes; empty if it is all taken.
template <class T>
const char* not_taken(const loss_options& options) {
    if (options.precision == precision::highest && std::is_same_v<T, double>) return "precision::highest of double";
    if (options.empty == empty::error) return "empty::error: the labels are not read by the call";
    return "";
}

/// Do the kernels that read logits as they are do what the options ask?
inline bool are_plain(const loss_options& options) {
    return options.strength == 1 && options.temperature == 1 && options.logit_scale == 1 && !options.softcap &&
           options.label_smoothing == 0 && options.kl_target == kl_target::prediction && options.gradients == gradients::overwrite &&
           options.precision != precision::highest;
}

} // namespace device_row

template <class T>
launch_status loss(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                   const device_labels& labels, const loss_options& options, const device_loss_arrays<T>& arrays) noexcept {
    using namespace device_row;
    const bool reads_c = options.alpha != 0 || arrays.lse_y;
    if (const char* what = not_taken<T>(options); *what) return {launch::not_supported, what};
    const layout matrices{p, reads_c ? c : matrix_view<const T, device>{}, arrays.grad_p, arrays.grad_c};
    if (const launch_status status = matrices.status(); !status.ok()) return status;

    const bool divides = options.reduction == reduction::mean && !options.divisor;
    char* const workspace = reinterpret_cast<char*>(arrays.workspace.data);
    if ((divides || arrays.result) && (!workspace || arrays.workspace.stride != 1 || arrays.workspace.size < loss_workspace(p.rows)))
        return {launch::no_workspace, "workspace of fewer than loss_workspace(N) bytes"};
    if (reinterpret_cast<std::uintptr_t>(workspace) % 16 != 0) return {launch::no_workspace, "workspace that is not aligned"};

    auto* const head = reinterpret_cast<loss_result*>(workspace);
    auto* const parts = reinterpret_cast<totals*>(workspace + part_bytes);
    batch<T> call{p,
                  c,
                  arrays.grad_p,
                  arrays.grad_c,
                  arrays.row_loss,
                  arrays.row_cross_entropy,
                  arrays.row_divergence,
                  arrays.lse_p,
                  arrays.lse_y,
                  arrays.predicted,
                  arrays.upstream,
                  arrays.weight,
                  arrays.sample_weight,
                  integers(labels),
                  integers(arrays.row_mask),
                  nullptr,
                  divides ? head : nullptr,
                  options.divisor.value_or(1),
                  options.alpha,
                  options.z_weight,
                  options.ignore_index,
                  options.flow,
                  reads_c};
    if (options.reduction != reduction::mean) call.given_divisor = 1;
    finishing finish{head, options.divisor.value_or(0), options.alpha, options.z_weight, options.reduction, options.empty};
    if (divides)
        if (const launch_status status = total(call, p.rows, p.cols, parts, finish, on.stream); !status.ok()) return status;

    if (arrays.result) call.figures = reinterpret_cast<row_figures*>(workspace + (1 + chunks(p.rows)) * part_bytes);
    const as_asked<T> asked{options.logit_scale / options.temperature,
                            options.softcap ? options.logit_scale / *options.softcap : 0,
                            options.strength,
                            options.label_smoothing,
                            options.kl_target == kl_target::label,
                            options.gradients == gradients::accumulate};
    const launch_status status = are_plain(options) ? run_on(loss_rows<T, as_given<T>>{call, {}, p.rows, p.cols}, matrices, on, "loss")
                                                    : run_on(loss_rows<T, as_asked<T>>{call, asked, p.rows, p.cols}, matrices, on, "loss");
    if (!status.ok() || !arrays.result) return status;
    finish.result = arrays.result.data;
    return total(call, p.rows, p.cols, parts, finish, on.stream);
}

// The types of logits that the library has kernels of.
template launch_status loss(cuda_backend, const matrix_view<const float, device>&, const matrix_view<const float, device>&,
                            const device_labels&, const loss_options&, const device_loss_arrays<float>&) noexcept;
template launch_status loss(cuda_backend, const matrix_view<const double, device>&, const matrix_view<const double, device>&,
                            const device_labels&, const loss_options&, const device_loss_arrays<double>&) noexcept;
template launch_status loss(cuda_backend, const matrix_view<const bfloat16, device>&, const matrix_view<const bfloat16, device>&,
                            const device_labels&, const loss_options&, const device_loss_arrays<bfloat16>&) noexcept;
template launch_status loss(cuda_backend, const matrix_view<const float16, device>&, const matrix_view<const float16, device>&,
                            const device_labels&, const loss_options&, const device_loss_arrays<float16>&) noexcept;

} // namespace car::inline CAR_ABI::kernel
