// SPDX-License-Identifier: Apache-2.0
#include "source.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace ptx {

namespace {

bool blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string_view trimmed(std::string_view s) {
    while (!s.empty() && blank(s.front())) s.remove_prefix(1);
    while (!s.empty() && blank(s.back())) s.remove_suffix(1);
    return s;
}

constexpr std::string_view blanks = " \t\n\v\f\r";

/// The first word of a text, which loses it.
std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    text.remove_prefix(word.size());
    return word;
}

std::string_view first_word(std::string_view text) { return take_word(text); }

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> all;
    for (std::string_view word; !(word = take_word(text)).empty();) all.push_back(word);
    return all;
}

/// `.param .align 8 .b8 name[24]`, `.param .u64 .ptr .global .align 4 name`, `.const .align 4 .b8 name[2] = {1, 2}`.
variable read_variable(std::string_view text) {
    const auto equals = text.find('=');
    variable v;
    std::string name;
    bool takes_align = false, is_pointer = false;
    for (const std::string_view word : words(text.substr(0, equals))) {
        if (takes_align) {
            if (!is_pointer) v.align = number(word);
            takes_align = false;
        } else if (word == ".align") {
            takes_align = true;
        } else if (word == ".ptr") {
            is_pointer = true;
        } else if (word[0] != '.') {
            name += word;
        } else if (word == ".param" || word == ".shared" || word == ".global" || word == ".const" || word == ".local") {
            if (v.space.empty()) v.space = word.substr(1);
        } else if (word != ".extern" && word != ".visible" && word != ".weak" && word != ".common" && !is_pointer) {
            v.type = word.substr(1);
        }
    }
    v.bytes = width_of(v.type);
    v.align = std::max(v.align, v.bytes);
    const std::size_t element = v.bytes;
    for (auto open = name.find('['); open != name.npos; open = name.find('[', open + 1)) {
        const std::string extent = name.substr(open + 1, name.find(']', open) - open - 1);
        v.sized = v.sized && !extent.empty();
        v.bytes *= extent.empty() ? 0 : number(extent);
    }
    v.name = name.substr(0, name.find('['));
    if (equals == text.npos) return v;

    std::string list(text.substr(equals + 1));
    std::erase_if(list, [](char c) { return c == '{' || c == '}'; });
    for (const std::string& part : split(list)) {
        if (!is_number(part)) throw unsupported("initial value " + part + " of " + v.name);
        const std::uint64_t bits = number(part);
        for (std::size_t k = 0; k != element; ++k) v.value.push_back(static_cast<unsigned char>(bits >> 8 * k));
    }
    v.value.resize(v.bytes);
    return v;
}

class reader {
    std::string text_;
    std::size_t at_ = 0;
    std::map<std::string, std::string, std::less<>> files_;
    module_text module_;

    /// Comments, debug sections and the lines that end without a semicolon are no part of what is read below.
    void clean(std::string_view text) {
        bool in_section = false;
        for (std::size_t end; !text.empty(); text.remove_prefix(std::min(end + 1, text.size()))) {
            end = std::min(text.find('\n'), text.size());
            const std::string_view all = text.substr(0, end), line = all.substr(0, all.find("//")), word = first_word(line);
            if (in_section) {
                in_section = word != "}";
            } else if (word.empty() || word == ".version" || word == ".target" || word == ".address_size") {
            } else if (word == ".section") {
                in_section = true;
            } else if (word == ".file") {
                const auto quote = line.find('"');
                const std::string_view path = line.substr(quote + 1, line.rfind('"') - quote - 1);
                files_.emplace(words(line).at(1), path.substr(path.rfind('/') + 1));
            } else {
                text_.append(line).append(word == ".loc" ? ";\n" : "\n");
            }
        }
    }

    void skip_blanks() {
        while (at_ != text_.size() && blank(text_[at_])) ++at_;
    }
    char next() {
        skip_blanks();
        return at_ == text_.size() ? '\0' : text_[at_];
    }
    std::string_view until(std::size_t end) {
        const std::string_view part = trimmed(std::string_view(text_).substr(at_, end - at_));
        at_ = end;
        return part;
    }
    /// Up to the semicolon; braces of a list belong to the statement.
    std::string_view one_statement() {
        const auto end = text_.find(';', at_);
        if (end == text_.npos) throw unsupported("text after the last statement");
        const std::string_view part = until(end);
        ++at_;
        return part;
    }

    const std::string& file(std::string_view index) const {
        const auto found = files_.find(index);
        if (found == files_.end()) throw unsupported("file " + std::string(index));
        return found->second;
    }

    /// `.loc 2 449 9, function_name x, inlined_at 1 9 3`
    std::size_t read_place(std::string_view text) {
        const std::vector<std::string_view> w = words(text);
        place p{file(w.at(1)), static_cast<unsigned>(number(w.at(2))), {}, 0};
        if (const auto outer = std::find(w.begin(), w.end(), "inlined_at"); outer != w.end()) {
            p.outer_file = file(*(outer + 1));
            p.outer_line = static_cast<unsigned>(number(*(outer + 2)));
        }
        module_.places.push_back(p);
        return module_.places.size() - 1;
    }

    /// `name(a, b) .maxntid 256, 1, 1` and whether a body follows.
    function_text read_head(std::string_view head) {
        function_text f;
        f.is_kernel = head.find(".entry") != head.npos;
        head.remove_prefix(head.find(f.is_kernel ? ".entry" : ".func") + (f.is_kernel ? 6 : 5));
        head = trimmed(head);
        const auto take_list = [&](std::vector<variable>& list) {
            const auto close = head.find(')');
            for (const std::string_view rest = head.substr(1, close - 1); const std::string& part : split_raw(rest))
                if (!trimmed(part).empty()) list.push_back(read_variable(part));
            head = trimmed(head.substr(close + 1));
        };
        if (head.starts_with('(')) take_list(f.results);
        const auto name_end = head.find_first_of("( \t\n");
        f.name = head.substr(0, name_end);
        head = name_end == head.npos ? std::string_view() : trimmed(head.substr(name_end));
        if (head.starts_with('(')) take_list(f.parameters);
        if (const auto bound = head.find(".maxntid"); bound != head.npos) {
            f.max_threads = 1;
            const std::string_view rest = head.substr(bound + 8);
            const auto numbers = rest.substr(0, rest.find('.'));
            for (const std::string& extent : split(numbers)) f.max_threads *= number(extent);
        }
        return f;
    }
    static std::vector<std::string> split_raw(std::string_view list) {
        std::vector<std::string> parts;
        std::istringstream in{std::string(list)};
        for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
        return parts;
    }

    statement read_statement(std::string_view text, std::size_t where) {
        statement s;
        s.place = where;
        if (text.starts_with('@')) {
            const auto end = text.find_first_of(" \t\n");
            s.guard = text.substr(1, end - 1);
            text = trimmed(text.substr(end));
        }
        const auto end = text.find_first_of(" \t\n");
        s.opcode = text.substr(0, end);
        if (end != text.npos) s.operands = split(text.substr(end));
        return s;
    }

    void read_body(function_text& f) {
        std::size_t where = 0;
        int depth = 0;
        const auto add = [&](statement::kind what) {
            f.body.push_back({what});
            return &f.body.back();
        };
        do {
            const char c = next();
            const std::string_view rest = std::string_view(text_).substr(at_);
            if (c == '{' || c == '}') {
                depth += c == '{' ? 1 : -1;
                add(c == '{' ? statement::kind::open : statement::kind::close);
                ++at_;
            } else if (const auto colon = rest.find_first_of(": \t\n;,");
                       colon != rest.npos && rest[colon] == ':' && rest[colon + 1] != ':') {
                const std::string name(rest.substr(0, colon));
                at_ += colon + 1;
                if (next() == '.' && std::string_view(text_).substr(at_).starts_with(".branchtargets")) {
                    statement* const s = add(statement::kind::targets);
                    s->opcode = name;
                    s->operands = split(one_statement().substr(14));
                } else if (next() == '.' && std::string_view(text_).substr(at_).starts_with(".callprototype")) {
                    throw unsupported("a call through a pointer");
                } else {
                    add(statement::kind::label)->opcode = name;
                }
            } else {
                const std::string_view text = one_statement();
                if (text.empty() || text.starts_with(".pragma")) continue;
                if (first_word(text) == ".loc") {
                    where = read_place(text);
                } else if (text.starts_with(".reg")) {
                    statement* const s = add(statement::kind::registers);
                    const auto type = text.find('.', 4), end = text.find_first_of(" \t", type);
                    s->opcode = text.substr(type + 1, end - type - 1);
                    s->operands = split(text.substr(end));
                } else if (text.starts_with('.')) {
                    add(statement::kind::variable)->variable = read_variable(text);
                } else {
                    f.body.push_back(read_statement(text, where));
                }
            }
        } while (depth != 0);
    }

  public:
    module_text read(std::string_view text) {
        clean(text);
        module_.places.push_back({});
        while (next() != '\0') {
            const auto end = text_.find_first_of(";{=", at_);
            if (end == text_.npos) throw unsupported("text at the end of the module");
            const std::string_view head = std::string_view(text_).substr(at_, end - at_);
            if (head.find(".entry") == head.npos && head.find(".func") == head.npos) {
                const std::string_view all = one_statement();
                if (!all.empty() && all.front() == '.' && !all.starts_with(".pragma")) module_.variables.push_back(read_variable(all));
                continue;
            }
            at_ = end;
            function_text f = read_head(trimmed(head));
            if (text_[end] == ';') {
                ++at_; // a declaration; a call of what is defined nowhere is refused when it is decoded
                continue;
            }
            read_body(f);
            module_.functions.push_back(std::move(f));
        }
        return std::move(module_);
    }
};

} // namespace

std::string statement::text() const {
    std::string all = guard.empty() ? "" : "@" + guard + " ";
    all += opcode;
    for (std::size_t k = 0; k != operands.size(); ++k) all += (k ? ", " : " ") + operands[k];
    return all;
}

std::vector<std::string> split(std::string_view list, char separator) {
    std::vector<std::string> parts(1);
    int depth = 0;
    for (const char c : list) {
        if (c == '{' || c == '[' || c == '(') ++depth;
        if (c == '}' || c == ']' || c == ')') --depth;
        if (c == separator && depth == 0) {
            parts.emplace_back();
        } else if (!blank(c)) {
            parts.back() += c;
        }
    }
    if (parts.back().empty()) parts.pop_back();
    return parts;
}

std::size_t width_of(std::string_view type) {
    if (type == "pred") return 1;
    if (type.ends_with("x2")) return 4;
    if (type == "bf16") return 2;
    const auto digits = type.find_first_of("0123456789");
    if (digits == type.npos) throw unsupported("type " + std::string(type));
    return number(type.substr(digits)) / 8;
}

bool is_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) != 0;
}

std::uint64_t number(std::string_view text) {
    if (!is_number(text)) throw unsupported("number " + std::string(text));
    if (text.starts_with("0f") || text.starts_with("0F") || text.starts_with("0d") || text.starts_with("0D"))
        return std::stoull(std::string(text.substr(2)), nullptr, 16);
    const bool negative = text.starts_with('-');
    std::string digits(text.substr(negative ? 1 : 0));
    if (digits.ends_with('U')) digits.pop_back();
    const std::uint64_t magnitude = std::stoull(digits, nullptr, 0);
    return negative ? ~magnitude + 1 : magnitude;
}

module_text read_module(std::string_view text) { return reader().read(text); }

} // namespace ptx
