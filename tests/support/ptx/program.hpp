// SPDX-License-Identifier: Apache-2.0
#pragma once

// A module as the machine runs it, and the state that it runs on. An instruction is done by all lanes of a warp that are at it, one
// register of a warp is 32 values side by side: `decode` makes the former of the text, `machine.cpp` moves the warps.

#include "memory.hpp" // the memory and its faults
#include "number.hpp" // values of lanes
#include "source.hpp" // the text

#include <array>
#include <bit>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace ptx {

struct warp;
struct instruction;

using lanes = u32;
inline constexpr lanes all_lanes = ~lanes{0};

/// What happens to the lanes after it.
enum class flow {
    next,
    jump,         ///< `run` says where to
    leave,        ///< they are done
    meet_warp,    ///< `run` once all lanes of the mask in `in[3]` are here
    meet_block,   ///< `run` once all threads of the block are
    meet_cluster, ///< and those of the cluster have arrived
};

enum class space { generic, global, shared, cluster, own, parameter };

struct copy {
    unsigned from, to, bytes;
};

struct instruction {
    void (*run)(warp&, const instruction&, lanes) = nullptr;
    flow then = flow::next;
    unsigned out = 0, second_out = 0; ///< where in a warp's registers
    std::array<unsigned, 4> in = {};
    space where = space::generic;
    std::vector<unsigned> data = {}; ///< registers, of a load or a store twice their place plus 1 if wide; targets of an indexed branch
    std::vector<copy> copies = {};   ///< arguments of a call, or its results
    u64 value = 0;                   ///< added to an address; a shift, a table
    unsigned target = 0;
    unsigned width = 4;
    unsigned guard = 0;
    bool is_guarded = false, guard_is_negated = false;
    bool is_signed = false, is_strong = false, is_wide = false, data_is_wide = false;
    u64 executed = 0; ///< by how many lanes
    std::string text = {};
    std::size_t place = 0;

    /// The first word: of `@%p1 ld.global.f32 ...`, ld.
    std::string opcode() const {
        const auto start = text.starts_with('@') ? text.find(' ') + 1 : 0;
        return text.substr(start, text.find_first_of(". ", start) - start);
    }
};

/// Registers that hold what is known before the first instruction.
struct preset {
    unsigned where;
    bool is_wide;
    u64 bits;
};
struct special_register {
    unsigned where;
    std::string name;
};

struct function {
    std::string name;
    bool is_kernel = false;
    unsigned entry = 0;
    unsigned return_register = 0;
    std::vector<variable> parameters, results;
    std::vector<std::size_t> offsets; ///< of a kernel's parameters
    std::size_t parameter_bytes = 0;
    std::vector<unsigned> parameter_homes, result_homes; ///< of a function: in a lane's own memory
    std::size_t max_threads = 1024;
    std::size_t shared_bytes = 0, dynamic_alignment = 16;
    unsigned registers = 0; ///< words of a warp's registers, of which a register has 32 or 64
    std::size_t own_bytes = 0;
    std::vector<preset> presets;
    std::vector<special_register> specials;
    std::string refused = {}; ///< why the machine cannot run it
    std::size_t place = 0;    ///< of its first instruction, or of the one that was refused
};

struct module {
    std::deque<function> functions;
    std::vector<instruction> code;
    std::vector<place> places;
    std::unordered_map<std::string, u64> variables; ///< in the device's memory
};

/// Throws `unsupported` with the instruction and its line for what the machine does not know.
module decode(std::string_view text, device_memory&);

struct extent {
    unsigned x = 1, y = 1, z = 1;
    std::size_t count() const { return std::size_t{x} * y * z; }
    extent at(std::size_t index) const {
        return {static_cast<unsigned>(index % x), static_cast<unsigned>(index / x % y), static_cast<unsigned>(index / x / y)};
    }
};

struct launch {
    extent grid, block, cluster;
    std::size_t dynamic_shared_bytes = 0;
    std::vector<unsigned char> parameters;
};

struct cluster;

struct block {
    cluster* in = nullptr;
    unsigned rank = 0;
    extent index;
    std::unique_ptr<region> shared;
    std::vector<warp> warps;
    bool has_ended() const;
};

enum class traffic_space { global, shared, cluster, local };
inline constexpr const char* traffic_names[] = {"global", "shared", "cluster", "local"};

struct settings {
    double perturbation = 0;
    u64 order_seed = 0;
    device_properties device;
    std::array<u64, 4> loaded = {}, stored = {};
};

struct cluster {
    const function* kernel = nullptr;
    module* code = nullptr;
    const launch* call = nullptr;
    device_memory* memory = nullptr;
    settings* how = nullptr;
    order* when = nullptr;
    std::vector<block> blocks;
    extent index;
};

struct warp {
    block* in = nullptr;
    unsigned first = 0; ///< its lowest thread in the block
    lanes live = 0, running = 0;
    std::array<unsigned, lanes_of_warp> at = {};
    std::vector<u32> registers;
    std::vector<unsigned char> own; ///< each lane's own memory: arguments and what is .local
    std::size_t own_bytes = 0;
    lanes arrived = 0, passed = 0; ///< at the cluster's barrier: now, and with the phase that is complete

    thread_id thread(unsigned lane) const { return static_cast<thread_id>(in->rank * threads_of_block + first + lane); }
    unsigned char* own_of(unsigned lane) { return own.data() + lane * own_bytes; }
};

// ---- the values of lanes

template <class T>
using carrier = std::conditional_t<sizeof(T) == 8, u64, u32>;

template <class T>
T get(const warp& w, unsigned where, unsigned lane) {
    carrier<T> bits;
    std::memcpy(&bits, w.registers.data() + where + lane * (sizeof bits / 4), sizeof bits);
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(bits);
    } else if constexpr (sizeof(T) == 2) {
        return {static_cast<u16>(bits)};
    } else {
        return std::bit_cast<T>(bits);
    }
}

template <class T>
void put(warp& w, unsigned where, unsigned lane, T value) {
    carrier<T> bits;
    if constexpr (std::is_same_v<T, bool>) {
        bits = value;
    } else if constexpr (std::is_integral_v<T>) {
        bits = static_cast<std::make_unsigned_t<T>>(value);
    } else if constexpr (sizeof(T) == 2) {
        bits = value.bits;
    } else {
        bits = std::bit_cast<carrier<T>>(value);
    }
    std::memcpy(w.registers.data() + where + lane * (sizeof bits / 4), &bits, sizeof bits);
}

template <class F>
void each(lanes on, F f) {
    if (on == all_lanes) {
        for (unsigned lane = 0; lane != lanes_of_warp; ++lane) f(lane);
    } else {
        for (; on != 0; on &= on - 1) f(static_cast<unsigned>(std::countr_zero(on)));
    }
}

// ---- addresses: which space, in the bits that no address has

inline constexpr u64 shared_window = u64{1} << 62, local_window = u64{1} << 61;
inline constexpr unsigned rank_shift = 24; ///< of a shared address: a block's rank in the cluster, plus 1; 0 is the own block

} // namespace ptx
