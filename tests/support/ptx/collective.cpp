// SPDX-License-Identifier: Apache-2.0
// What the lanes of a warp do together: shuffles, votes, reductions. Each runs once for the lanes that share a mask, `on`.
#include "decode.hpp"

namespace ptx {

namespace {

enum class direction { up, down, across, from };

template <direction how>
void shuffle(warp& w, const instruction& i, lanes on) {
    std::array<u32, lanes_of_warp> values = {};
    each(on, [&](unsigned lane) { values[lane] = get<u32>(w, i.in[0], lane); });
    each(on, [&](unsigned lane) {
        const u32 by = get<u32>(w, i.in[1], lane) & 31, bounds = get<u32>(w, i.in[2], lane);
        const u32 segment = bounds >> 8 & 31, last = (lane & segment) | (bounds & 31 & ~segment), first = lane & segment;
        u32 source = how == direction::up       ? lane - by
                     : how == direction::down   ? lane + by
                     : how == direction::across ? lane ^ by
                                                : first | (by & ~segment);
        const bool inside = how == direction::up ? static_cast<i32>(source) >= static_cast<i32>(last) : source <= last;
        if (!inside) source = lane;
        if (!(on >> source & 1))
            throw fault(kind::shuffle,
                        "thread " + std::to_string(w.first + lane) + " reads lane " + std::to_string(source) + ", which takes no part");
        put<u32>(w, i.out, lane, values[source]);
        put<bool>(w, i.second_out, lane, inside);
    });
}

lanes true_lanes(const warp& w, const instruction& i, lanes on) {
    lanes holds = 0;
    each(on, [&](unsigned lane) { holds |= lanes{get<bool>(w, i.in[0], lane)} << lane; });
    return holds;
}

enum class vote { all, any, same };

template <vote how>
void vote_of_lanes(warp& w, const instruction& i, lanes on) {
    const lanes holds = true_lanes(w, i, on);
    const bool result = how == vote::any ? holds != 0 : holds == on || (how == vote::same && holds == 0);
    each(on, [&](unsigned lane) { put<bool>(w, i.out, lane, result); });
}

void ballot(warp& w, const instruction& i, lanes on) {
    const lanes holds = true_lanes(w, i, on);
    each(on, [&](unsigned lane) { put<u32>(w, i.out, lane, holds); });
}

void active(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) { put<u32>(w, i.out, lane, on); });
}

template <class T, class F>
void reduce(warp& w, const instruction& i, lanes on) {
    T sum = get<T>(w, i.in[0], static_cast<unsigned>(std::countr_zero(on)));
    each(on & (on - 1), [&](unsigned lane) { sum = F{}(sum, get<T>(w, i.in[0], lane)); });
    each(on, [&](unsigned lane) { put<T>(w, i.out, lane, sum); });
}

struct sum_of {
    template <class T>
    T operator()(T a, T b) const {
        return static_cast<T>(static_cast<u32>(a) + static_cast<u32>(b));
    }
};
struct least_of {
    template <class T>
    T operator()(T a, T b) const {
        return std::min(a, b);
    }
};
struct most_of {
    template <class T>
    T operator()(T a, T b) const {
        return std::max(a, b);
    }
};

void meet(warp& w, const instruction&, lanes on) { w.in->in->when->meet_warp(w.thread(0), on, on == w.live); }

} // namespace

bool decode_collective(decoder& d) {
    const std::string& n = d.name();
    if (n == "activemask") {
        d.made.out = d.out(d.operands.at(0), 4);
        d.made.run = active;
        return true;
    }
    if (n != "shfl" && n != "vote" && n != "redux" && !((n == "bar" || n == "barrier") && d.has("warp"))) return false;
    if (!d.has("sync")) d.refuse("a warp's instruction without a mask");
    d.made.then = flow::meet_warp;
    d.made.in[3] = d.in(d.operands.back(), 4);
    if (n == "bar" || n == "barrier") {
        d.made.run = meet;
        return true;
    }
    const std::vector<std::string> results = split(d.operands.at(0), '|');
    if (n == "shfl") {
        d.made.out = d.out(results[0], 4);
        d.made.second_out = d.out(results.size() > 1 ? results[1] : "_", 1);
        for (std::size_t k = 0; k != 3; ++k) d.made.in[k] = d.in(d.operands.at(k + 1), 4);
        d.made.run = d.has("up")     ? shuffle<direction::up>
                     : d.has("down") ? shuffle<direction::down>
                     : d.has("bfly") ? shuffle<direction::across>
                                     : shuffle<direction::from>;
        return true;
    }
    if (n == "vote") {
        const bool is_ballot = d.has("ballot");
        d.made.out = d.out(results[0], is_ballot ? 4 : 1);
        d.made.in[0] = d.in(d.operands.at(1), 1);
        d.made.run = is_ballot      ? ballot
                     : d.has("all") ? vote_of_lanes<vote::all>
                     : d.has("any") ? vote_of_lanes<vote::any>
                                    : vote_of_lanes<vote::same>;
        return true;
    }
    return with_type<u32, i32>(d.type(), [&](auto type) {
        using T = decltype(type);
        d.made.out = d.out(results[0], 4);
        d.made.in[0] = d.in(d.operands.at(1), 4);
        d.made.run = d.has("add")   ? reduce<T, sum_of>
                     : d.has("min") ? reduce<T, least_of>
                     : d.has("max") ? reduce<T, most_of>
                     : d.has("and") ? reduce<T, std::bit_and<T>>
                     : d.has("or")  ? reduce<T, std::bit_or<T>>
                                    : reduce<T, std::bit_xor<T>>;
    });
}

} // namespace ptx
