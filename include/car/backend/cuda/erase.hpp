// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"        // cuda_backend
#include "../../counterfactual.hpp" // the fills, their checks
#include "../../float_types.hpp"    // logit
#include "status.hpp"               // launch_status

#include <concepts> // std::same_as

namespace car::inline CAR_ABI {

/// What may be put in the actor's place on a device.
template <class Fill, class T>
concept device_fill = std::same_as<Fill, constant_fill> || std::same_as<Fill, mean_fill> || std::same_as<Fill, noise_fill> ||
    std::same_as<Fill, background_fill<T, device>>;

namespace kernel {

/// Defined in the library car::cuda, for float, double, bfloat16 and float16, and every fill.
template <class T, class Fill>
launch_status erase(cuda_backend on, const image_view<const T, device>& images, const image_view<const T, device>& masks, const Fill& fill,
                    const image_view<T, device>& out) noexcept;

} // namespace kernel

/// The counterfactual image on a device, asynchronous.
///
///     as car::erase in <car/counterfactual.hpp>
///
/// Shapes    as on the host; all memory, a background too, on the device.
/// Requires  as on the host, else throws std::invalid_argument; more than 2^31 - 1 pixels of a channel, or channels of all images, are
///           launch::not_supported.
/// Numerics  as on the host, u that of the type or of float where that is wider; the same bits in any order of threads.
/// Cost      as on the host; one launch; allocates nothing.
/// Source    OccludeNet, section 4.2: segmentation and feature erasure.
template <class T, class Fill>
    requires logit<std::remove_const_t<T>> && device_fill<Fill, std::remove_const_t<T>>
        launch_status erase(const cuda_backend& on, image_view<T, device> images,
                            std::type_identity_t<image_view<const std::remove_const_t<T>, device>> masks, const Fill& fill,
                            std::type_identity_t<image_view<std::remove_const_t<T>, device>> out) {
        using Value = std::remove_const_t<T>;
        const image_view<const Value, device> source = images;
        detail::check_erase<Value>(detail::image_checker("erase"), "images", source, masks, fill, "out", out);
        return kernel::erase<Value>(on, source, masks, fill, out);
    }

} // namespace car::inline CAR_ABI
