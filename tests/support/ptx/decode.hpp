// SPDX-License-Identifier: Apache-2.0
#pragma once

// Of a statement an instruction: what the families of instructions (arithmetic.cpp, convert.cpp, access.cpp, control.cpp) share.

#include "program.hpp" // what is made

#include <algorithm>
#include <map>
#include <optional>

namespace ptx {

struct symbol {
    enum class space { parameter, own, shared, dynamic_shared, global } where;
    u64 value;
};

struct slot {
    unsigned where;
    bool is_wide;
};

/// What the functions of a module know of one another while they are decoded.
struct shared_names {
    std::map<std::string, function*> functions;
    std::map<std::string, symbol> symbols;
    std::vector<std::pair<std::size_t, function*>> calls; ///< instructions that wait for the place of a function
};

/// One function's names while it is decoded, and what an instruction's text says.
class decoder {
    module& module_;
    function& function_;
    shared_names& shared_;
    std::vector<std::map<std::string, slot>> scopes_ = {{}};
    std::vector<std::map<std::string, symbol>> symbols_ = {{}};
    std::map<std::pair<u64, bool>, unsigned> constants_;
    std::map<std::string, unsigned> labels_, specials_;
    std::map<std::string, std::vector<std::string>> target_lists_;
    std::vector<std::pair<std::size_t, std::string>> jumps_; ///< instructions whose target is not yet known
    std::size_t place_ = 0;

    void declare_registers(const statement&);
    void declare(const variable&);
    void one(const statement&);
    void finish();
    unsigned special(const std::string& name);

  public:
    decoder(module& m, function& f, shared_names& shared) : module_(m), function_(f), shared_(shared) {}
    void run(const function_text&);
    std::size_t place() const { return place_; } ///< of the last instruction

    // ---- for the families: the instruction's text, and what it becomes
    std::vector<std::string> parts;    ///< of the opcode: add, rn, f32
    std::vector<std::string> operands; ///< as they are written
    instruction made;

    const std::string& name() const { return parts.front(); }
    const std::string& type() const { return parts.back(); }
    bool has(const std::string& part) const { return std::find(parts.begin() + 1, parts.end(), part) != parts.end(); }
    /// Refuses a modifier between the name and the type that is none of these.
    void only(std::initializer_list<const char*> modifiers) const;
    bool is_kernel() const { return function_.is_kernel; }
    [[noreturn]] void refuse(const std::string& why = "it is not implemented") const;

    unsigned return_register() const { return function_.return_register; }
    unsigned new_register(bool is_wide);
    unsigned constant(u64 bits, bool is_wide);
    std::optional<slot> find_register(const std::string& operand) const;
    std::optional<symbol> find_symbol(const std::string& name) const;
    unsigned in(const std::string& operand, std::size_t bytes);  ///< refuses a register that is not as wide as the type
    unsigned out(const std::string& operand, std::size_t bytes); ///< `_` is a register that nobody reads
    slot loaded(const std::string& operand);                     ///< may be wider than what is loaded
    slot stored(const std::string& operand);
    /// Sets in[0], is_wide and value; the symbol, where the base of the address is one.
    std::optional<symbol> address(const std::string& operand);
    std::vector<std::string> list(const std::string& operand) const; ///< of `{a, b}`, or of one operand
    void jump_to(const std::string& label) { jumps_.emplace_back(module_.code.size(), label); }
    void jump_to_one_of(const std::string& name);
    void call(); ///< with its arguments; the results come in an instruction of their own behind it
    void emit(instruction);

    /// The operation F on lanes of In..., a result of R. F is a type without state.
    template <class R, class F, class... In>
    bool make();
};

template <class R, class F, class... In>
void apply(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        [&]<std::size_t... K>(std::index_sequence<K...>) { put<R>(w, i.out, lane, F{}(get<In>(w, i.in[K], lane)...)); }
        (std::index_sequence_for<In...>());
    });
}

template <class R, class F, class... In>
bool decoder::make() {
    if (operands.size() != 1 + sizeof...(In)) refuse("expected " + std::to_string(1 + sizeof...(In)) + " operands");
    made.out = out(operands[0], sizeof(R));
    std::size_t k = 0;
    ((made.in[k] = in(operands[k + 1], sizeof(In)), ++k), ...);
    made.run = apply<R, F, In...>;
    return true;
}

/// f(T()) with the type that PTX calls by this name; false if it is none of Types.
template <class T>
bool is_type(const std::string& name) {
    if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>) {
        return name == (std::is_same_v<T, f16> ? "f16" : "bf16");
    } else if constexpr (std::is_floating_point_v<T>) {
        return name == (sizeof(T) == 4 ? "f32" : "f64");
    } else {
        const std::string bits = std::to_string(8 * sizeof(T));
        return name == (std::is_signed_v<T> ? "s" : "u") + bits || (!std::is_signed_v<T> && name == "b" + bits);
    }
}
template <class... Types, class F>
bool with_type(const std::string& name, F f) {
    return ((is_type<Types>(name) && (f(Types()), true)) || ...);
}

/// Each makes the instructions of one family; false where the name is none of its own.
bool decode_arithmetic(decoder&);
bool decode_bits(decoder&);
bool decode_conversion(decoder&);
bool decode_access(decoder&);
bool decode_control(decoder&);
bool decode_collective(decoder&);

} // namespace ptx
