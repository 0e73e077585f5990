// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"              // cuda_backend
#include "../../detail/check_softmax.hpp" // shapes, overlaps
#include "arrays.hpp"                     // views of a device
#include "status.hpp"                     // launch_status

namespace car::inline CAR_ABI {

namespace kernel {

/// Defined in the library car::cuda, for float, double, bfloat16 and float16.
template <class T>
launch_status softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<T, device>& y) noexcept;
template <class T>
launch_status log_softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<T, device>& y) noexcept;
template <class T>
launch_status log_sum_exp(cuda_backend on, const matrix_view<const T, device>& p, const vector_view<term_of<T>, device>& y) noexcept;
template <class T>
launch_status corrected_softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                                const matrix_view<T, device>& y, double strength) noexcept;
template <class T>
launch_status corrected_softmax_vjp(cuda_backend on, const matrix_view<const T, device>& y, const matrix_view<const T, device>& upstream,
                                    const matrix_view<T, device>& grad_p, const matrix_view<T, device>& grad_c, double scale,
                                    double strength) noexcept;

} // namespace kernel

/// Softmax of each row on a device, asynchronous.
///
///     as car::softmax, car::log_softmax and car::log_sum_exp in <car/softmax.hpp>
///
/// Shapes    as on the host; columns 1 apart, all memory on the device.
/// Requires  as on the host, else throws std::invalid_argument; temperature other than 1 is launch::not_supported.
/// Numerics  as on the host: softmax and log_softmax within 4u of their value, log_sum_exp within 4u (|max| + |y|).
/// Cost      each row read once where it fits in the memory of a block or cluster, else 3 times; one launch; allocates nothing.
/// Source    OccludeNet, Eq. 2.
template <class T>
    requires logit<std::remove_const_t<T>> launch_status softmax(const cuda_backend& on, const matrix_view<T, device>& p,
                                                                 std::type_identity_t<matrix_view<std::remove_const_t<T>, device>> y,
                                                                 const softmax_options& options = {}) {
        const matrix_view<const std::remove_const_t<T>, device> logits = p;
        detail::check_softmax(detail::checker("softmax"), logits, y, options);
        if (options.temperature != 1) return {launch::not_supported, "temperature other than 1"};
        return kernel::softmax(on, logits, y);
    }
template <class T>
    requires logit<std::remove_const_t<T>> launch_status log_softmax(const cuda_backend& on, const matrix_view<T, device>& p,
                                                                     std::type_identity_t<matrix_view<std::remove_const_t<T>, device>> y,
                                                                     const softmax_options& options = {}) {
        const matrix_view<const std::remove_const_t<T>, device> logits = p;
        detail::check_softmax(detail::checker("log_softmax"), logits, y, options);
        if (options.temperature != 1) return {launch::not_supported, "temperature other than 1"};
        return kernel::log_softmax(on, logits, y);
    }
template <class T>
    requires logit<std::remove_const_t<T>>
        launch_status log_sum_exp(const cuda_backend& on, const matrix_view<T, device>& p,
                                  std::type_identity_t<vector_view<term_of<std::remove_const_t<T>>, device>> y,
                                  const softmax_options& options = {}) {
        const matrix_view<const std::remove_const_t<T>, device> logits = p;
        detail::check_softmax(detail::checker("log_sum_exp"), logits, y, options);
        if (options.temperature != 1) return {launch::not_supported, "temperature other than 1"};
        return kernel::log_sum_exp(on, logits, y);
    }

/// Softmax of each row of `p - strength*c` on a device, and its vector-Jacobian product, asynchronous.
///
///     as car::corrected_softmax and car::corrected_softmax_vjp in <car/corrected.hpp>
///
/// Shapes    as on the host; columns 1 apart, all memory on the device.
/// Requires  as on the host, else throws std::invalid_argument; corrected_softmax: temperature other than 1 is launch::not_supported.
/// Numerics  as on the host: within 4u where y is normal, the product within 4u of y (|g| + sum_k |g| y) / temperature.
/// Cost      as softmax on a device.
/// Source    OccludeNet, Eq. 3.
template <class T>
    requires logit<std::remove_const_t<T>>
        launch_status corrected_softmax(const cuda_backend& on, const matrix_view<T, device>& p, device_input<std::remove_const_t<T>> c,
                                        std::type_identity_t<matrix_view<std::remove_const_t<T>, device>> y,
                                        const corrected_options& options = {}) {
        const matrix_view<const std::remove_const_t<T>, device> factual = p;
        const detail::checker check("corrected_softmax");
        const auto out = detail::footprint_of("y", y), left = detail::footprint_of("p", factual), right = detail::footprint_of("c", c);
        detail::check_corrected(check, left, right, {}, options);
        check.shape(out, factual.rows, factual.cols);
        check.separate({detail::in_place_of_either(out, left, right)}, {left, right});
        if (options.temperature != 1) return {launch::not_supported, "temperature other than 1"};
        return kernel::corrected_softmax(on, factual, c, y, options.strength);
    }

/// Where the product goes; either may be left out.
template <class T>
struct device_corrected_gradients {
    matrix_view<T, device> grad_p = {};
    matrix_view<T, device> grad_c = {};
};

template <class T>
    requires logit<std::remove_const_t<T>> launch_status
    corrected_softmax_vjp(const cuda_backend& on, const matrix_view<T, device>& y, device_input<std::remove_const_t<T>> upstream,
                          const device_corrected_gradients<std::remove_const_t<T>>& gradients, const corrected_options& options = {}) {
        const matrix_view<const std::remove_const_t<T>, device> prediction = y;
        const detail::checker check("corrected_softmax_vjp");
        const auto left = detail::footprint_of("y", prediction), right = detail::footprint_of("upstream", upstream);
        const auto p = detail::footprint_of("grad_p", gradients.grad_p), c = detail::footprint_of("grad_c", gradients.grad_c);
        detail::check_corrected(check, left, right, {p, c}, options);
        check.separate({detail::in_place_of_either(p, right, left), detail::in_place_of_either(c, right, left)}, {left, right});
        return kernel::corrected_softmax_vjp(on, prediction, upstream, gradients.grad_p, gradients.grad_c, 1 / options.temperature,
                                             options.strength);
    }

} // namespace car::inline CAR_ABI
