// SPDX-License-Identifier: Apache-2.0
// Logic, shifts, comparisons, selections and moves.
#include "decode.hpp"

namespace ptx {

namespace {

struct bit_and {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(a & b);
    }
};
struct bit_or {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(a | b);
    }
};
struct bit_xor {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(a ^ b);
    }
};
struct bit_not {
    template <class T>
    T operator()(T a) const {
        if constexpr (std::is_same_v<T, bool>) {
            return !a;
        } else {
            return static_cast<T>(~a);
        }
    }
};
template <class F, class... In>
bool logic(decoder& d) {
    return with_type<bool, u16, u32, u64>(d.type() == "pred" ? "u8" : d.type(),
                                          [&](auto type) { // bool has the width of u8, which has no logic
                                              using T = decltype(type);
                                              if constexpr (std::is_invocable_v<F, T>)
                                                  d.make<T, F, T>();
                                              else
                                                  d.make<T, F, T, T>();
                                          });
}

/// A shift by the width or more leaves nothing, or the sign.
struct shift_left {
    template <class T>
    T operator()(T a, u32 n) const {
        return n >= 8 * sizeof(T) ? T(0) : static_cast<T>(static_cast<u64>(a) << n);
    }
};
struct shift_right {
    template <class T>
    T operator()(T a, u32 n) const {
        return static_cast<T>(a >> std::min<u32>(n, 8 * sizeof(T) - 1) >> (n >= 8 * sizeof(T) ? 1 : 0));
    }
};
template <bool left, bool wraps>
struct funnel {
    u32 operator()(u32 low, u32 high, u32 n) const {
        const u32 by = wraps ? n & 31 : std::min<u32>(n, 32);
        const u64 both = u64{high} << 32 | low;
        return left ? static_cast<u32>(both << by >> 32) : static_cast<u32>(both >> by);
    }
};

struct extract_field {
    template <class T>
    T operator()(T a, u32 position, u32 length) const {
        constexpr u32 bits = 8 * sizeof(T);
        const u32 from = position & 0xff, count = std::min<u32>(length & 0xff, bits);
        T field = shift_right{}(a, from);
        if (count == 0) return 0;
        if (count < bits) field = static_cast<T>(shift_left{}(static_cast<std::make_unsigned_t<T>>(field), bits - count)) >> (bits - count);
        return field;
    }
};
struct insert_field {
    template <class T>
    T operator()(T a, T b, u32 position, u32 length) const {
        const u32 from = position & 0xff, count = length & 0xff;
        const T ones = count >= 8 * sizeof(T) ? static_cast<T>(-1) : static_cast<T>((T(1) << count) - 1);
        const T mask = shift_left{}(ones, from);
        return static_cast<T>((b & ~mask) | (shift_left{}(a, from) & mask));
    }
};
struct reverse_bits {
    template <class T>
    T operator()(T a) const {
        T reversed = 0;
        for (unsigned k = 0; k != 8 * sizeof(T); ++k) reversed = static_cast<T>(reversed << 1 | (a >> k & 1));
        return reversed;
    }
};
struct leading_zeros {
    template <class T>
    u32 operator()(T a) const {
        return static_cast<u32>(std::countl_zero(a));
    }
};
struct count_ones {
    template <class T>
    u32 operator()(T a) const {
        return static_cast<u32>(std::popcount(a));
    }
};
template <class T>
struct highest_bit {
    u32 operator()(T a) const {
        using Bits = std::make_unsigned_t<T>;
        const Bits bits = static_cast<Bits>(a < 0 ? ~a : a);
        return static_cast<u32>(static_cast<int>(8 * sizeof(T)) - 1 - std::countl_zero(bits)); // all ones where there is none
    }
};
struct permute_bytes {
    u32 operator()(u32 a, u32 b, u32 selector) const {
        const u64 bytes = u64{b} << 32 | a;
        u32 chosen = 0;
        for (unsigned k = 0; k != 4; ++k) {
            const u32 which = selector >> 4 * k & 0xf, byte = static_cast<u32>(bytes >> 8 * (which & 7)) & 0xff;
            chosen |= (which & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << 8 * k;
        }
        return chosen;
    }
};
void logic_of_three(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        const u32 a = get<u32>(w, i.in[0], lane), b = get<u32>(w, i.in[1], lane), c = get<u32>(w, i.in[2], lane);
        u32 result = 0;
        for (unsigned row = 0; row != 8; ++row)
            if (i.value >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
        put<u32>(w, i.out, lane, result);
    });
}

template <class T>
struct select_value {
    T operator()(T a, T b, bool first) const { return first ? a : b; }
};

// ---- comparisons

enum class comparison { equal, less, at_most, greater, at_least, ordered };

template <comparison how, bool unless, bool with_nan, bool flushes>
struct compare {
    template <class T>
    bool operator()(T a, T b) const {
        if constexpr (std::is_integral_v<T>) {
            return holds(a, b) != unless;
        } else {
            const auto x = ready(widen(a)), y = ready(widen(b));
            if (x != x || y != y) return with_nan;
            return holds(x, y) != unless;
        }
    }

  private:
    static float ready(float x) { return flushes ? flushed(x) : x; }
    static double ready(double x) { return x; }
    template <class T>
    static bool holds(T a, T b) {
        switch (how) {
        case comparison::equal: return a == b;
        case comparison::less: return a < b;
        case comparison::at_most: return a <= b;
        case comparison::greater: return a > b;
        case comparison::at_least: return a >= b;
        case comparison::ordered: break;
        }
        return true;
    }
};

template <class F>
bool with_comparison(const std::string& word, F f) {
    // A `u` behind the name: true if one is a NaN. lo, ls, hi and hs are of unsigned integers.
    const auto chosen = [&]<comparison how, bool unless = false>(std::string_view name) {
        if (word == name) return f.template operator()<how, unless, false>(), true;
        if (word == std::string(name) + "u") return f.template operator()<how, unless, true>(), true;
        return false;
    };
    if (word == "nan") return f.template operator()<comparison::ordered, true, true>(), true;
    if (word == "num") return f.template operator()<comparison::ordered, false, false>(), true;
    return chosen.template operator()<comparison::equal>("eq") || chosen.template operator()<comparison::equal, true>("ne") ||
           chosen.template operator()<comparison::less>("lt") || chosen.template operator()<comparison::less>("lo") ||
           chosen.template operator()<comparison::at_most>("le") || chosen.template operator()<comparison::at_most>("ls") ||
           chosen.template operator()<comparison::greater>("gt") || chosen.template operator()<comparison::greater>("hi") ||
           chosen.template operator()<comparison::at_least>("ge") || chosen.template operator()<comparison::at_least>("hs");
}

/// setp, whose results may be two, the second the opposite, and combined with a third predicate.
bool set_predicate(decoder& d) {
    const std::vector<std::string> results = split(d.operands[0], '|');
    const std::string how = d.parts.size() > 3 ? d.parts[2] : "";
    const bool combines = how == "and" || how == "or" || how == "xor";
    instruction both[2] = {d.made, d.made};
    const unsigned raw = d.new_register(false);
    const bool known = with_type<u16, i16, u32, i32, u64, i64, float, double, f16, bf16>(d.type(), [&](auto type) {
        using T = decltype(type);
        d.made.in[0] = d.in(d.operands[1], sizeof(T));
        d.made.in[1] = d.in(d.operands[2], sizeof(T));
        const bool is_comparison = with_comparison(d.parts[1], [&]<comparison c, bool unless, bool with_nan>() {
            d.made.run = d.has("ftz") ? apply<bool, compare<c, unless, with_nan, true>, T, T>
                                      : apply<bool, compare<c, unless, with_nan, false>, T, T>;
        });
        if (!is_comparison) d.refuse("comparison " + d.parts[1]);
    });
    if (!known) return false;
    if (!combines && results.size() == 1) {
        d.made.out = d.out(results[0], 1);
        return true;
    }
    // The comparison first; then one instruction for each result, all with the guard of the statement.
    const unsigned third = combines ? d.in(d.operands.at(3), 1) : 0;
    d.made.out = raw;
    d.emit(d.made);
    for (std::size_t k = 0; k != results.size(); ++k) {
        unsigned from = raw;
        if (k == 1) {
            instruction opposite = d.made;
            opposite.in[0] = raw;
            opposite.out = from = d.new_register(false);
            opposite.run = apply<bool, bit_not, bool>;
            d.emit(opposite);
        }
        both[k].in = {from, combines ? third : from};
        both[k].out = d.out(results[k], 1);
        both[k].run = how == "or"    ? apply<bool, bit_or, bool, bool>
                      : how == "xor" ? apply<bool, bit_xor, bool, bool>
                                     : apply<bool, bit_and, bool, bool>;
        if (k + 1 != results.size()) d.emit(both[k]);
    }
    d.made = both[results.size() - 1];
    return true;
}

// ---- moves

template <class T>
struct same {
    T operator()(T a) const { return a; }
};

/// mov.b64 d, {a, b}: the parts side by side, the first lowest.
void pack(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        u64 bits = 0;
        for (std::size_t k = 0; k != i.data.size(); ++k) bits |= (u64{get<u32>(w, i.data[k], lane)} & i.value) << 8 * i.width * k;
        if (i.is_wide)
            put<u64>(w, i.out, lane, bits);
        else
            put<u32>(w, i.out, lane, static_cast<u32>(bits));
    });
}
void unpack(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        const u64 bits = i.is_wide ? get<u64>(w, i.in[0], lane) : get<u32>(w, i.in[0], lane);
        for (std::size_t k = 0; k != i.data.size(); ++k) put<u32>(w, i.data[k], lane, static_cast<u32>(bits >> 8 * i.width * k & i.value));
    });
}
bool move(decoder& d) {
    const std::size_t bytes = width_of(d.type());
    const bool packs = d.operands[1].starts_with('{'), unpacks = d.operands[0].starts_with('{');
    if (!packs && !unpacks) {
        if (bytes == 8) return d.make<u64, same<u64>, u64>();
        return d.make<u32, same<u32>, u32>();
    }
    const std::vector<std::string> list = d.list(d.operands[packs ? 1 : 0]);
    d.made.is_wide = bytes == 8;
    d.made.width = static_cast<unsigned>(bytes / list.size());
    if (d.made.width > 4) d.refuse("parts of 64 bits");
    d.made.value = (u64{1} << 8 * d.made.width) - 1;
    for (const std::string& part : list) d.made.data.push_back(packs ? d.in(part, d.made.width) : d.out(part, d.made.width));
    if (packs)
        d.made.out = d.out(d.operands[0], bytes);
    else
        d.made.in[0] = d.in(d.operands[1], bytes);
    d.made.run = packs ? pack : unpack;
    return true;
}

} // namespace

bool decode_bits(decoder& d) {
    const std::string& n = d.name();
    if (n == "mov") return move(d);
    if (n == "and") return logic<bit_and>(d);
    if (n == "or") return logic<bit_or>(d);
    if (n == "xor") return logic<bit_xor>(d);
    if (n == "not") return logic<bit_not>(d);
    if (n == "shl")
        return with_type<u16, u32, u64>(d.type(), [&](auto type) { d.make<decltype(type), shift_left, decltype(type), u32>(); });
    if (n == "shr")
        return with_type<u16, i16, u32, i32, u64, i64>(d.type(),
                                                       [&](auto type) { d.make<decltype(type), shift_right, decltype(type), u32>(); });
    if (n == "shf" && d.has("l"))
        return d.has("wrap") ? d.make<u32, funnel<true, true>, u32, u32, u32>() : d.make<u32, funnel<true, false>, u32, u32, u32>();
    if (n == "shf")
        return d.has("wrap") ? d.make<u32, funnel<false, true>, u32, u32, u32>() : d.make<u32, funnel<false, false>, u32, u32, u32>();
    if (n == "bfe")
        return with_type<u32, i32, u64, i64>(d.type(),
                                             [&](auto type) { d.make<decltype(type), extract_field, decltype(type), u32, u32>(); });
    if (n == "bfi")
        return with_type<u32, u64>(d.type(), [&](auto type) {
            using T = decltype(type);
            d.make<T, insert_field, T, T, u32, u32>();
        });
    if (n == "brev") return with_type<u32, u64>(d.type(), [&](auto type) { d.make<decltype(type), reverse_bits, decltype(type)>(); });
    if (n == "clz") return with_type<u32, u64>(d.type(), [&](auto type) { d.make<u32, leading_zeros, decltype(type)>(); });
    if (n == "popc") return with_type<u32, u64>(d.type(), [&](auto type) { d.make<u32, count_ones, decltype(type)>(); });
    if (n == "bfind" && !d.has("shiftamt"))
        return with_type<u32, i32, u64, i64>(d.type(), [&](auto type) { d.make<u32, highest_bit<decltype(type)>, decltype(type)>(); });
    if (n == "prmt" && d.parts.size() == 2) return d.make<u32, permute_bytes, u32, u32, u32>();
    if (n == "lop3" && d.parts.size() == 2) {
        d.made.value = number(d.operands.at(4));
        d.operands.pop_back();
        d.make<u32, permute_bytes, u32, u32, u32>(); // the operands' places
        d.made.run = logic_of_three;
        return true;
    }
    if (n == "selp") {
        return with_type<u16, i16, u32, i32, u64, i64, float, double, f16, bf16>(d.type(), [&](auto type) {
            using T = carrier<decltype(type)>;
            d.make<T, select_value<T>, T, T, bool>();
        });
    }
    if (n == "setp") return set_predicate(d);
    return false;
}

} // namespace ptx
