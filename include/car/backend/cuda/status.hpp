// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../version.hpp" // CAR_ABI

namespace car::inline CAR_ABI {

/// What became of the launch of a call on a device. A fault of shapes or options throws, as on the host; what happens on the device
/// later shows where the stream is synchronised, and in the result's row_status.
enum class launch {
    done,          ///< the work is in the stream
    not_supported, ///< an option or layout that no kernel takes; nothing is in the stream
    no_workspace,  ///< the call needs a workspace, or a larger one; nothing is in the stream
    device_error   ///< CUDA refused a launch: `code` is its cudaError_t
};

struct [[nodiscard]] launch_status {
    enum launch launch = launch::done;
    const char* reason = ""; ///< which option, layout or kernel
    int code = 0;

    constexpr bool ok() const { return launch == launch::done; }
};

} // namespace car::inline CAR_ABI
