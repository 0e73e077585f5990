// SPDX-License-Identifier: Apache-2.0
#include "decode.hpp"

namespace ptx {

namespace {
std::size_t aligned(std::size_t at, std::size_t to) { return (at + to - 1) / to * to; }
} // namespace

void decoder::refuse(const std::string& why) const { throw unsupported(why + ": " + made.text); }

void decoder::only(std::initializer_list<const char*> modifiers) const {
    for (std::size_t k = 1; k + 1 < parts.size(); ++k)
        if (std::find(modifiers.begin(), modifiers.end(), parts[k]) == modifiers.end()) refuse("modifier ." + parts[k]);
}

// ---- registers

unsigned decoder::new_register(bool is_wide) {
    const unsigned where = function_.registers;
    function_.registers += is_wide ? 2 * lanes_of_warp : lanes_of_warp;
    return where;
}

unsigned decoder::constant(u64 bits, bool is_wide) {
    const auto [found, is_new] = constants_.try_emplace({bits, is_wide}, 0);
    if (is_new) {
        found->second = new_register(is_wide);
        function_.presets.push_back({found->second, is_wide, bits});
    }
    return found->second;
}

unsigned decoder::special(const std::string& name) {
    const auto [found, is_new] = specials_.try_emplace(name, 0);
    if (is_new) {
        found->second = new_register(false);
        function_.specials.push_back({found->second, name});
    }
    return found->second;
}

void decoder::declare_registers(const statement& s) {
    const bool is_wide = width_of(s.opcode) == 8;
    for (const std::string& name : s.operands) {
        const auto open = name.find('<');
        if (open == name.npos) {
            scopes_.back()[name] = {new_register(is_wide), is_wide};
            continue;
        }
        const u64 count = number(name.substr(open + 1, name.size() - open - 2));
        for (u64 k = 0; k != count; ++k) scopes_.back()[name.substr(0, open) + std::to_string(k)] = {new_register(is_wide), is_wide};
    }
}

std::optional<slot> decoder::find_register(const std::string& operand) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
        if (const auto found = scope->find(operand); found != scope->end()) return found->second;
    return {};
}

std::optional<symbol> decoder::find_symbol(const std::string& name) const {
    for (auto scope = symbols_.rbegin(); scope != symbols_.rend(); ++scope)
        if (const auto found = scope->find(name); found != scope->end()) return found->second;
    if (const auto found = shared_.symbols.find(name); found != shared_.symbols.end()) return found->second;
    return {};
}

unsigned decoder::in(const std::string& operand, std::size_t bytes) {
    const bool is_wide = bytes == 8;
    if (operand.starts_with('!')) {
        instruction negation;
        negation.in[0] = in(operand.substr(1), 1);
        negation.out = new_register(false);
        negation.run = apply<bool, std::logical_not<bool>, bool>;
        emit(negation);
        return negation.out;
    }
    if (const auto found = find_register(operand)) {
        if (found->is_wide != is_wide) refuse("register " + operand + " has another width than the type");
        return found->where;
    }
    if (is_number(operand)) return constant(number(operand), is_wide);
    if (operand.starts_with('%')) {
        if (is_wide) refuse("special register of 64 bits");
        return special(operand);
    }
    if (const auto found = find_symbol(operand)) {
        if (found->where == symbol::space::dynamic_shared && !is_kernel()) refuse("dynamic shared memory in a function that is called");
        return constant(found->value, is_wide);
    }
    refuse("operand " + operand + " is not known");
}

unsigned decoder::out(const std::string& operand, std::size_t bytes) {
    if (operand == "_") return new_register(bytes == 8);
    const auto found = find_register(operand);
    if (!found) refuse("result " + operand + " is not known");
    if (found->is_wide != (bytes == 8)) refuse("register " + operand + " has another width than the type");
    return found->where;
}

slot decoder::loaded(const std::string& operand) {
    if (operand == "_") return {new_register(true), true};
    if (const auto found = find_register(operand)) return *found;
    refuse("result " + operand + " is not known");
}

slot decoder::stored(const std::string& operand) {
    if (const auto found = find_register(operand)) return *found;
    if (is_number(operand)) return {constant(number(operand), true), true};
    refuse("operand " + operand + " is not known");
}

std::vector<std::string> decoder::list(const std::string& operand) const {
    if (!operand.starts_with('{')) return {operand};
    return split(std::string_view(operand).substr(1, operand.size() - 2));
}

std::optional<symbol> decoder::address(const std::string& operand) {
    const std::string inside = operand.substr(1, operand.size() - 2);
    const auto plus = inside.find_first_of("+-", 1);
    const std::string base = inside.substr(0, plus);
    made.value = plus == inside.npos ? 0 : number(inside.substr(plus + (inside[plus] == '+' ? 1 : 0)));
    if (const auto found = find_register(base)) {
        made.in[0] = found->where;
        made.is_wide = found->is_wide;
        return {};
    }
    const auto found = find_symbol(base);
    if (!found && !is_number(base)) refuse("address " + base + " is not known");
    made.in[0] = constant(found ? found->value : number(base), true);
    made.is_wide = true;
    return found;
}

// ---- variables

void decoder::declare(const variable& v) {
    if (v.space == "shared") {
        function_.shared_bytes = aligned(function_.shared_bytes, v.align);
        symbols_.back()[v.name] = {symbol::space::shared, function_.shared_bytes};
        function_.shared_bytes += v.bytes;
    } else if (v.space == "local" || v.space == "param") {
        function_.own_bytes = aligned(function_.own_bytes, std::max<std::size_t>(v.align, 16));
        symbols_.back()[v.name] = {symbol::space::own, function_.own_bytes};
        function_.own_bytes += v.bytes;
    } else {
        throw unsupported("variable " + v.name + " of ." + v.space + " in a function");
    }
}

// ---- one instruction after the other

void decoder::emit(instruction i) {
    i.place = place_;
    if (i.text.empty()) i.text = made.text;
    module_.code.push_back(std::move(i));
}

void decoder::jump_to_one_of(const std::string& name) {
    const auto found = target_lists_.find(name);
    if (found == target_lists_.end()) refuse("list of targets " + name + " is not known");
    made.data.assign(found->second.size(), 0);
    for (const std::string& label : found->second) jump_to(label);
}

void decoder::call() {
    std::size_t k = 0;
    const auto names = [&](const std::string& group) { return split(std::string_view(group).substr(1, group.size() - 2)); };
    std::vector<std::string> results, arguments;
    if (operands.at(k).starts_with('(')) results = names(operands[k++]);
    const std::string callee_name = operands.at(k++);
    if (k != operands.size()) arguments = names(operands[k]);
    const auto found = shared_.functions.find(callee_name);
    if (found == shared_.functions.end()) refuse("call of " + callee_name + ", which is defined nowhere");
    function& callee = *found->second;
    if (arguments.size() != callee.parameters.size() || results.size() > callee.result_homes.size()) refuse("arguments of a call");

    instruction after = made;
    const auto home = [&](const std::string& name) {
        const auto s = find_symbol(name);
        if (!s || s->where != symbol::space::own) refuse("argument " + name + " is not known");
        return static_cast<unsigned>(s->value);
    };
    for (std::size_t a = 0; a != arguments.size(); ++a)
        made.copies.push_back({home(arguments[a]), callee.parameter_homes[a], static_cast<unsigned>(callee.parameters[a].bytes)});
    for (std::size_t r = 0; r != results.size(); ++r)
        after.copies.push_back({callee.result_homes[r], home(results[r]), static_cast<unsigned>(callee.results[r].bytes)});
    made.then = flow::jump;
    made.out = callee.return_register;
    shared_.calls.emplace_back(module_.code.size(), &callee);
    emit(std::move(made));
    made = std::move(after);
}

void decoder::one(const statement& s) {
    place_ = s.place;
    made = {};
    made.text = s.text();
    parts.clear();
    for (const std::string& part : split(s.opcode, '.'))
        if (const auto colons = part.find("::"); colons != part.npos && part.starts_with("L"))
            continue; // a hint for a cache
        else
            parts.push_back(part);
    operands = s.operands;
    if (!s.guard.empty()) {
        made.is_guarded = true;
        made.guard_is_negated = s.guard[0] == '!';
        made.guard = in(s.guard.substr(made.guard_is_negated ? 1 : 0), 1);
    }
    if (!(decode_arithmetic(*this) || decode_bits(*this) || decode_conversion(*this) || decode_access(*this) || decode_control(*this) ||
          decode_collective(*this)))
        refuse();
    if (made.run == nullptr && made.then == flow::next) refuse();
    emit(std::move(made));
}

void decoder::run(const function_text& text) {
    function_.entry = static_cast<unsigned>(module_.code.size());
    std::size_t offset = 0;
    for (std::size_t k = 0; k != text.parameters.size(); ++k) {
        const variable& p = text.parameters[k];
        if (is_kernel()) {
            offset = aligned(offset, p.align);
            symbols_.back()[p.name] = {symbol::space::parameter, offset};
            function_.offsets.push_back(offset);
            offset += p.bytes;
        } else {
            symbols_.back()[p.name] = {symbol::space::own, function_.parameter_homes[k]};
        }
    }
    function_.parameter_bytes = offset;
    for (std::size_t k = 0; k != text.results.size(); ++k)
        symbols_.back()[text.results[k].name] = {symbol::space::own, function_.result_homes[k]};

    for (const statement& s : text.body)
        if (s.what == statement::kind::variable && s.variable.space == "shared") declare(s.variable); // before the dynamic part
    for (const statement& s : text.body) {
        if (function_.place == 0) function_.place = s.place;
        switch (s.what) {
        case statement::kind::open:
            scopes_.emplace_back();
            symbols_.emplace_back();
            break;
        case statement::kind::close:
            scopes_.pop_back();
            symbols_.pop_back();
            break;
        case statement::kind::registers: declare_registers(s); break;
        case statement::kind::variable:
            if (s.variable.space != "shared") declare(s.variable);
            break;
        case statement::kind::label: labels_[s.opcode] = static_cast<unsigned>(module_.code.size()); break;
        case statement::kind::targets: target_lists_[s.opcode] = s.operands; break;
        case statement::kind::instruction: one(s); break;
        }
    }
    finish();
}

void decoder::finish() {
    instruction end; // behind a call that never returns there may be nothing
    end.then = flow::leave;
    end.text = "the end of " + function_.name;
    emit(end);
    std::map<std::size_t, std::size_t> seen;
    for (const auto& [where, label] : jumps_) {
        const auto found = labels_.find(label);
        if (found == labels_.end()) throw unsupported("label " + label + " is not known");
        instruction& i = module_.code[where];
        if (i.data.empty()) {
            i.target = found->second;
        } else {
            i.data[seen[where]++] = found->second;
        }
    }
}

module decode(std::string_view text, device_memory& memory) {
    module_text read = read_module(text);
    module m;
    m.places = std::move(read.places);
    shared_names shared;
    std::size_t module_shared = 0, dynamic_alignment = 16;
    for (const variable& v : read.variables) {
        if (v.space == "shared") {
            if (v.sized) {
                module_shared = aligned(module_shared, v.align);
                shared.symbols[v.name] = {symbol::space::shared, module_shared};
                module_shared += v.bytes;
            } else {
                dynamic_alignment = std::max(dynamic_alignment, v.align);
                shared.symbols[v.name] = {symbol::space::dynamic_shared, 0};
            }
        } else if (v.space == "global" || v.space == "const") {
            const u64 address = memory.allocate(v.bytes, true);
            const auto [where, offset] = memory.find(address, v.bytes);
            if (!v.value.empty()) std::memcpy(where->data() + offset, v.value.data(), v.value.size());
            where->define(offset, v.bytes);
            shared.symbols[v.name] = {symbol::space::global, address};
            m.variables[v.name] = address;
        } else {
            throw unsupported("variable " + v.name + " of ." + v.space);
        }
    }

    for (const function_text& t : read.functions) {
        function& f = m.functions.emplace_back();
        f.name = t.name;
        f.is_kernel = t.is_kernel;
        f.parameters = t.parameters;
        f.results = t.results;
        f.max_threads = t.max_threads;
        if (!t.is_kernel) shared.functions[t.name] = &f;
    }
    // Functions share the registers with every kernel, each in its own part of them: none calls itself.
    function common;
    for (const bool kernels : {false, true}) {
        for (std::size_t k = 0; k != read.functions.size(); ++k) {
            function& f = m.functions[k];
            if (f.is_kernel != kernels) continue;
            f.registers = common.registers;
            f.own_bytes = common.own_bytes;
            f.presets = common.presets;
            f.specials = common.specials;
            f.shared_bytes = module_shared;
            f.dynamic_alignment = dynamic_alignment;
            if (!kernels) {
                f.return_register = f.registers;
                f.registers += lanes_of_warp;
                for (const auto& [list, homes] : {std::pair{&f.parameters, &f.parameter_homes}, std::pair{&f.results, &f.result_homes}})
                    for (const variable& v : *list) {
                        f.own_bytes = aligned(f.own_bytes, 16);
                        homes->push_back(static_cast<unsigned>(f.own_bytes));
                        f.own_bytes += v.bytes;
                    }
            }
            if (kernels) {
                // The dynamic part begins behind what has a size; its symbols are known only now.
                std::size_t static_bytes = module_shared;
                for (const statement& s : read.functions[k].body)
                    if (s.what == statement::kind::variable && s.variable.space == "shared")
                        static_bytes = aligned(static_bytes, s.variable.align) + s.variable.bytes;
                for (auto& [name, s] : shared.symbols)
                    if (s.where == symbol::space::dynamic_shared) s.value = aligned(static_bytes, dynamic_alignment);
            }
            decoder one_function(m, f, shared);
            try {
                one_function.run(read.functions[k]);
            } catch (const unsupported& what) {
                f.refused = what.what();
                f.place = one_function.place();
            }
            if (!kernels) {
                common = f;
                module_shared = f.shared_bytes;
            }
        }
    }
    for (const auto& [where, callee] : shared.calls) m.code[where].target = callee->entry;
    return m;
}

} // namespace ptx
