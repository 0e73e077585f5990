// SPDX-License-Identifier: Apache-2.0
// Softmax and corrected prediction of rows on a device, for every type of logits.
#include <car/backend/cuda/softmax.hpp>
#include <car/cuda/softmax.cuh>

namespace car::inline CAR_ABI::kernel {

template <class T>
launch_status softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<T, device>& y) noexcept {
    using namespace device_row;
    const softmax_rows<T, factual_logit> rows{p, {}, y, {}, {}, output::probability, p.rows, p.cols};
    return run_on(rows, layout(p, y), on, "softmax");
}

template <class T>
launch_status log_softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<T, device>& y) noexcept {
    using namespace device_row;
    const softmax_rows<T, factual_logit> rows{p, {}, y, {}, {}, output::log_probability, p.rows, p.cols};
    return run_on(rows, layout(p, y), on, "log_softmax");
}

template <class T>
launch_status log_sum_exp(cuda_backend on, const matrix_view<const T, device>& p, const vector_view<term_of<T>, device>& y) noexcept {
    using namespace device_row;
    const softmax_rows<T, factual_logit> rows{p, {}, {}, y, {}, output::log_sum, p.rows, p.cols};
    return run_on(rows, layout(p), on, "log_sum_exp");
}

template <class T>
launch_status corrected_softmax(cuda_backend on, const matrix_view<const T, device>& p, const matrix_view<const T, device>& c,
                                const matrix_view<T, device>& y, double strength) noexcept {
    using namespace device_row;
    using A = term_of<T>;
    const A high = static_cast<A>(strength);
    const corrected_logit<A> logit{{high, static_cast<A>(strength - static_cast<double>(high))}};
    const softmax_rows<T, corrected_logit<A>> rows{p, c, y, {}, logit, output::probability, p.rows, p.cols};
    return run_on(rows, layout(p, c, y), on, "corrected_softmax");
}

template <class T>
launch_status corrected_softmax_vjp(cuda_backend on, const matrix_view<const T, device>& y, const matrix_view<const T, device>& upstream,
                                    const matrix_view<T, device>& grad_p, const matrix_view<T, device>& grad_c, double scale,
                                    double strength) noexcept {
    using namespace device_row;
    const softmax_vjp_rows<T> rows{y, upstream, grad_p, grad_c, scale, strength, y.rows, y.cols};
    return run_on(rows, layout(y, upstream, grad_p, grad_c), on, "corrected_softmax_vjp");
}

template launch_status softmax(cuda_backend, const matrix_view<const float, device>&, const matrix_view<float, device>&) noexcept;
template launch_status log_softmax(cuda_backend, const matrix_view<const float, device>&, const matrix_view<float, device>&) noexcept;
template launch_status log_sum_exp(cuda_backend, const matrix_view<const float, device>&, const vector_view<float, device>&) noexcept;
template launch_status corrected_softmax(cuda_backend, const matrix_view<const float, device>&, const matrix_view<const float, device>&,
                                         const matrix_view<float, device>&, double) noexcept;
template launch_status corrected_softmax_vjp(cuda_backend, const matrix_view<const float, device>&, const matrix_view<const float, device>&,
                                             const matrix_view<float, device>&, const matrix_view<float, device>&, double, double) noexcept;

template launch_status softmax(cuda_backend, const matrix_view<const double, device>&, const matrix_view<double, device>&) noexcept;
template launch_status log_softmax(cuda_backend, const matrix_view<const double, device>&, const matrix_view<double, device>&) noexcept;
template launch_status log_sum_exp(cuda_backend, const matrix_view<const double, device>&, const vector_view<double, device>&) noexcept;
template launch_status corrected_softmax(cuda_backend, const matrix_view<const double, device>&, const matrix_view<const double, device>&,
                                         const matrix_view<double, device>&, double) noexcept;
template launch_status corrected_softmax_vjp(cuda_backend, const matrix_view<const double, device>&,
                                             const matrix_view<const double, device>&, const matrix_view<double, device>&,
                                             const matrix_view<double, device>&, double, double) noexcept;

template launch_status softmax(cuda_backend, const matrix_view<const bfloat16, device>&, const matrix_view<bfloat16, device>&) noexcept;
template launch_status log_softmax(cuda_backend, const matrix_view<const bfloat16, device>&, const matrix_view<bfloat16, device>&) noexcept;
template launch_status log_sum_exp(cuda_backend, const matrix_view<const bfloat16, device>&, const vector_view<float, device>&) noexcept;
template launch_status corrected_softmax(cuda_backend, const matrix_view<const bfloat16, device>&,
                                         const matrix_view<const bfloat16, device>&, const matrix_view<bfloat16, device>&, double) noexcept;
template launch_status corrected_softmax_vjp(cuda_backend, const matrix_view<const bfloat16, device>&,
                                             const matrix_view<const bfloat16, device>&, const matrix_view<bfloat16, device>&,
                                             const matrix_view<bfloat16, device>&, double, double) noexcept;

template launch_status softmax(cuda_backend, const matrix_view<const float16, device>&, const matrix_view<float16, device>&) noexcept;
template launch_status log_softmax(cuda_backend, const matrix_view<const float16, device>&, const matrix_view<float16, device>&) noexcept;
template launch_status log_sum_exp(cuda_backend, const matrix_view<const float16, device>&, const vector_view<float, device>&) noexcept;
template launch_status corrected_softmax(cuda_backend, const matrix_view<const float16, device>&, const matrix_view<const float16, device>&,
                                         const matrix_view<float16, device>&, double) noexcept;
template launch_status corrected_softmax_vjp(cuda_backend, const matrix_view<const float16, device>&,
                                             const matrix_view<const float16, device>&, const matrix_view<float16, device>&,
                                             const matrix_view<float16, device>&, double, double) noexcept;

} // namespace car::inline CAR_ABI::kernel
