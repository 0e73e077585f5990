// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a CUDA test may ask of the machine that it runs on. Linked with stand_in.cpp and what belongs to it, the program runs on a CPU:
// the PTX that nvcc made is executed instruction by instruction and every access is checked. Linked with device.cpp, it runs on a GPU,
// where nothing is counted or reported.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptx {

/// False on a GPU.
bool is_stand_in();

enum class kind {
    race,            ///< two threads touch one word, one of them writes, and nothing orders them
    divergence,      ///< a barrier or a warp's instruction that not all of its threads come to
    shuffle,         ///< a lane that is not in its own mask, or reads one that is not there
    out_of_bounds,   ///< in no allocation, or beyond the shared memory or the parameters
    overflow,        ///< as above, and 2^32 elements away from an allocation: an index of 32 bits
    misaligned,      ///< the address is no multiple of the access
    undefined,       ///< memory read that nobody has written
    host_pointer,    ///< memory of the host that a kernel does not see
    freed,           ///< memory used after it was freed, or freed twice
    leak,            ///< memory never freed
    synchronisation, ///< the host uses what a stream has not yet done
    cluster,         ///< a block that is not in the cluster, or has ended
    launch,          ///< a configuration that no device takes
    endless,         ///< more instructions than any test needs
    unsupported,     ///< the machine does not know this instruction
};
const char* name(kind);

struct report {
    kind what;
    std::string kernel = {};
    std::string file = {}; ///< and the line: of the program's source, nvcc -lineinfo
    unsigned line = 0;
    unsigned outer_line = 0; ///< of the call, where the line was inlined; else 0
    std::string text = {};   ///< all of it, for a person
};

/// What has been found since the last call. What nobody asks for is printed at the end of the program, which then fails.
std::vector<report> take_reports();

/// Reports what is allocated now. The end of the program does it too.
void report_leaks();

/// Sums over all threads since the last `reset_counters`. An instruction that a predicate turns off is not executed.
struct counts {
    std::uint64_t instructions = 0;
    std::map<std::string, std::uint64_t> opcodes = {};      ///< ex2, fma, ld, ...: the first word of an instruction
    std::map<std::string, std::uint64_t> loaded_bytes = {}; ///< by space: global, shared, cluster, local
    std::map<std::string, std::uint64_t> stored_bytes = {};

    std::uint64_t of(const std::string& opcode) const { return opcodes.contains(opcode) ? opcodes.at(opcode) : 0; }
    std::uint64_t loaded(const std::string& space) const { return loaded_bytes.contains(space) ? loaded_bytes.at(space) : 0; }
    std::uint64_t stored(const std::string& space) const { return stored_bytes.contains(space) ? stored_bytes.at(space) : 0; }
};
counts counters();
void reset_counters();

/// ex2, lg2, rcp, rsqrt, sqrt and div of the kind `approx` are off by this, up or down as their input decides, from now on; a GPU's are
/// off by up to 2^-22. 0 is the right result, rounded once.
void perturb(double relative);

/// The blocks of a grid, the warps of a block and the lanes of an atomic take turns in an order that this decides; 0 is their own.
void shuffle_order(std::uint64_t seed);

/// What the device says it is: compute capability, streaming multiprocessors, shared memory of a block.
struct device_properties {
    int major = 9, minor = 0;
    int multiprocessors = 132;
    int shared_bytes_per_block = 227 * 1024;
};
void set_device(const device_properties&);

} // namespace ptx
