// SPDX-License-Identifier: Apache-2.0
#pragma once

// The text of a PTX module as a list of functions and variables: what stands where, and which line of the program it comes from.
// Meaning is given to it by decode.hpp.

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

/// What the machine does not know: it stops and says so.
struct unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Where an instruction comes from, as nvcc -lineinfo says it; the second place is the call that the first one was inlined into.
struct place {
    std::string file = "?";
    unsigned line = 0;
    std::string outer_file = {};
    unsigned outer_line = 0;
};

/// `.shared .align 4 .b8 name[256]`, also a parameter.
struct variable {
    std::string space, name, type;
    std::size_t align = 1, bytes = 0;
    bool sized = true; ///< false: name[], the dynamic shared memory
    std::vector<unsigned char> value = {};
};

struct statement {
    enum class kind { instruction, label, registers, variable, targets, open, close } what = kind::instruction;
    std::string guard = {}; ///< %p1 or !%p1
    std::string opcode = {};
    std::vector<std::string> operands = {}; ///< of a declaration: the names; %r<5> is %r0 to %r4
    ptx::variable variable = {};
    std::size_t place = 0;

    std::string text() const;
};

struct function_text {
    std::string name;
    bool is_kernel = false;
    std::size_t max_threads = 1024;
    std::vector<variable> results, parameters;
    std::vector<statement> body;
};

struct module_text {
    std::vector<function_text> functions;
    std::vector<variable> variables;
    std::vector<place> places;
};

module_text read_module(std::string_view text);

/// The parts between the commas that are not inside brackets, without blanks.
std::vector<std::string> split(std::string_view list, char separator = ',');

/// Bytes of a type as PTX names it: f32 is 4, pred is 1.
std::size_t width_of(std::string_view type);

/// A number as PTX writes it: 12, -3, 0x1F, 0f3F800000, 0d3FF0000000000000.
bool is_number(std::string_view text);
std::uint64_t number(std::string_view text);

} // namespace ptx
