// SPDX-License-Identifier: Apache-2.0
// A GPU in place of the machine: nothing is counted, reported, perturbed or put into another order.
#include "machine.hpp"

namespace ptx {

const char* name(kind) { return ""; }
bool is_stand_in() { return false; }
std::vector<report> take_reports() { return {}; }
counts counters() { return {}; }
void report_leaks() {}
void reset_counters() {}
void perturb(double) {}
void shuffle_order(std::uint64_t) {}
void set_device(const device_properties&) {}

} // namespace ptx
