// SPDX-License-Identifier: Apache-2.0
// cvt: from every type to every other.
#include "decode.hpp"

#include <utility> // comparisons of any two integers

namespace ptx {

namespace {

struct manner {
    rounding how;
    bool to_whole, flushes, saturates;
};
manner manner_of(u64 bits) { return {static_cast<rounding>(bits & 3), (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0}; }

template <class T>
T flush_if(bool flushes, T x) {
    if constexpr (std::is_same_v<T, float>) return flushes ? flushed(x) : x;
    return x;
}

template <class To, class From>
To one(From from, manner m) {
    from = flush_if(m.flushes, from);
    if constexpr (number_format<To> && number_format<From>) {
        auto x = widen(from);
        if (m.to_whole) x = to_integer(x, m.how);
        if (m.saturates) x = x > 0 ? std::min(x, decltype(x)(1)) : decltype(x)(0);
        return flush_if(m.flushes, convert<To>(x, m.to_whole ? rounding::nearest : m.how));
    } else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
        if (m.saturates && std::cmp_less(from, std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
        if (m.saturates && std::cmp_greater(from, std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
        return static_cast<To>(from);
    } else {
        return convert<To>(from, m.how);
    }
}

template <class To, class From>
void conversion(warp& w, const instruction& i, lanes on) {
    const manner m = manner_of(i.value);
    each(on, [&](unsigned lane) {
        From from;
        if constexpr (sizeof(From) == 8) {
            from = get<From>(w, i.in[0], lane);
        } else if constexpr (std::is_integral_v<From>) {
            from = i.data_is_wide ? static_cast<From>(get<u64>(w, i.in[0], lane)) : get<From>(w, i.in[0], lane);
        } else {
            from = get<From>(w, i.in[0], lane);
        }
        const To to = one<To>(from, m);
        if constexpr (!std::is_integral_v<To>) {
            put<To>(w, i.out, lane, to);
        } else { // the register may be wider; the sign fills it
            const auto bits = static_cast<u64>(static_cast<i64>(to));
            const u64 filled = std::is_signed_v<To> ? bits : static_cast<u64>(to);
            if (i.is_wide)
                put<u64>(w, i.out, lane, filled);
            else
                put<u32>(w, i.out, lane, static_cast<u32>(filled));
        }
    });
}

/// cvt.rn.bf16x2.f32 d, a, b: a is the upper half.
template <class T, bool relu>
struct pack_halves {
    u32 operator()(float a, float b) const {
        const auto half = [](float x) { return u32{convert<T>(relu && !(x > 0) && x == x ? 0.f : x, rounding::nearest).bits}; };
        return half(a) << 16 | half(b);
    }
};

template <class F>
bool with_any_type(const std::string& name, F f) {
    return with_type<u8, std::int8_t, u16, i16, u32, i32, u64, i64, f16, bf16, float, double>(name, f);
}

} // namespace

bool decode_conversion(decoder& d) {
    if (d.name() != "cvt") return false;
    const std::string& from = d.type();
    const std::string& to = d.parts.at(d.parts.size() - 2);
    if (to == "bf16x2" || to == "f16x2") {
        if (from != "f32" || !d.has("rn") || d.parts.size() > (d.has("relu") ? 5u : 4u)) d.refuse();
        if (to == "f16x2")
            return d.has("relu") ? d.make<u32, pack_halves<f16, true>, float, float>()
                                 : d.make<u32, pack_halves<f16, false>, float, float>();
        return d.has("relu") ? d.make<u32, pack_halves<bf16, true>, float, float>() : d.make<u32, pack_halves<bf16, false>, float, float>();
    }

    u64 bits = 0;
    for (std::size_t k = 1; k + 2 < d.parts.size(); ++k) {
        const std::string& word = d.parts[k];
        const std::size_t direction = word.size() < 2 ? std::string::npos : std::string("nzmp").find(word[1]);
        if (word[0] == 'r' && direction != std::string::npos && (word.size() == 2 || (word.size() == 3 && word[2] == 'i')))
            bits |= direction | (word.size() == 3 ? 4u : 0u);
        else if (word == "ftz")
            bits |= 8;
        else if (word == "sat")
            bits |= 16;
        else
            d.refuse("modifier ." + word);
    }
    d.made.value = bits;
    return with_any_type(from, [&](auto source) {
        using From = decltype(source);
        const bool known = with_any_type(to, [&](auto target) {
            using To = decltype(target);
            const auto result = d.find_register(d.operands.at(0));
            if (!result || (!std::is_integral_v<To> && result->is_wide != (sizeof(To) == 8)) || (sizeof(To) == 8 && !result->is_wide))
                d.refuse("result of a conversion");
            const auto operand = d.find_register(d.operands.at(1));
            d.made.data_is_wide = operand ? operand->is_wide : sizeof(From) == 8;
            if (!std::is_integral_v<From> && d.made.data_is_wide != (sizeof(From) == 8)) d.refuse("operand of a conversion");
            d.made.in[0] = d.in(d.operands[1], d.made.data_is_wide ? 8 : 4);
            d.made.out = result->where;
            d.made.is_wide = result->is_wide;
            if (sizeof(From) == 8 && !d.made.data_is_wide) d.refuse("operand of a conversion");
            d.made.run = conversion<To, From>;
        });
        if (!known) d.refuse("type ." + to);
    });
}

} // namespace ptx
