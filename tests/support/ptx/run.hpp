// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "program.hpp" // modules, launches, settings

#include <optional>

namespace ptx {

/// Runs a kernel to its end, or to the first fault. Clusters run one after the other, in an order that the settings decide; in a
/// cluster a warp runs until it must wait for others, its lanes together wherever they are at the same instruction.
std::optional<report> run(module&, const function& kernel, const launch&, device_memory&, settings&, order&);

/// A fault of an instruction, as a person reads it.
report describe(const module&, const std::string& kernel, const instruction&, kind, const std::string& text);

} // namespace ptx
