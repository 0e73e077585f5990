// SPDX-License-Identifier: Apache-2.0
// car::erase on a device, for every type of pixels and every fill.
#include <car/backend/cuda/erase.hpp>
#include <car/cuda/erase.cuh>

namespace car::inline CAR_ABI::kernel {

namespace device_row {

template <class T>
constant_pixels<T> pixels_of(const constant_fill& fill) {
    return constant_pixels<T>(fill);
}
template <class T>
mean_pixels<T> pixels_of(const mean_fill& fill) {
    return mean_pixels<T>(fill);
}
template <class T>
noise_pixels<T> pixels_of(const noise_fill& fill) {
    return noise_pixels<T>(fill);
}
template <class T>
background_pixels<T> pixels_of(const background_fill<T, device>& fill) {
    return background_pixels<T>(fill);
}

} // namespace device_row

template <class T, class Fill>
launch_status erase(cuda_backend on, const image_view<const T, device>& images, const image_view<const T, device>& masks, const Fill& fill,
                    const image_view<T, device>& out) noexcept {
    bool one_background = false;
    if constexpr (std::is_same_v<Fill, background_fill<T, device>>) one_background = fill.images.count == 1;
    return device_row::run_erase<T>(on, images, masks, device_row::pixels_of<T>(fill), one_background, out);
}

template launch_status erase(cuda_backend, const image_view<const float, device>&, const image_view<const float, device>&,
                             const constant_fill&, const image_view<float, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float, device>&, const image_view<const float, device>&, const mean_fill&,
                             const image_view<float, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float, device>&, const image_view<const float, device>&,
                             const noise_fill&, const image_view<float, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float, device>&, const image_view<const float, device>&,
                             const background_fill<float, device>&, const image_view<float, device>&) noexcept;

template launch_status erase(cuda_backend, const image_view<const double, device>&, const image_view<const double, device>&,
                             const constant_fill&, const image_view<double, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const double, device>&, const image_view<const double, device>&,
                             const mean_fill&, const image_view<double, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const double, device>&, const image_view<const double, device>&,
                             const noise_fill&, const image_view<double, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const double, device>&, const image_view<const double, device>&,
                             const background_fill<double, device>&, const image_view<double, device>&) noexcept;

template launch_status erase(cuda_backend, const image_view<const bfloat16, device>&, const image_view<const bfloat16, device>&,
                             const constant_fill&, const image_view<bfloat16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const bfloat16, device>&, const image_view<const bfloat16, device>&,
                             const mean_fill&, const image_view<bfloat16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const bfloat16, device>&, const image_view<const bfloat16, device>&,
                             const noise_fill&, const image_view<bfloat16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const bfloat16, device>&, const image_view<const bfloat16, device>&,
                             const background_fill<bfloat16, device>&, const image_view<bfloat16, device>&) noexcept;

template launch_status erase(cuda_backend, const image_view<const float16, device>&, const image_view<const float16, device>&,
                             const constant_fill&, const image_view<float16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float16, device>&, const image_view<const float16, device>&,
                             const mean_fill&, const image_view<float16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float16, device>&, const image_view<const float16, device>&,
                             const noise_fill&, const image_view<float16, device>&) noexcept;
template launch_status erase(cuda_backend, const image_view<const float16, device>&, const image_view<const float16, device>&,
                             const background_fill<float16, device>&, const image_view<float16, device>&) noexcept;

} // namespace car::inline CAR_ABI::kernel
