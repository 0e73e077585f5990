// SPDX-License-Identifier: Apache-2.0
// Loads, stores and atomics of every space, and what makes addresses of one space those of another.
#include "decode.hpp"

namespace ptx {

namespace {

struct found {
    region* memory; ///< null: the lane's own memory or the parameters, which no other thread sees
    std::size_t offset;
    unsigned char* own = nullptr;
    traffic_space counted = traffic_space::local;
};

u64 address_of(const warp& w, const instruction& i, unsigned lane) {
    return (i.is_wide ? get<u64>(w, i.in[0], lane) : get<u32>(w, i.in[0], lane)) + i.value;
}

found in_shared(warp& w, u64 address, std::size_t bytes, bool may_be_peer) {
    cluster& c = *w.in->in;
    const u64 rank = (address & 0xffffffff) >> rank_shift, offset = address & ((u64{1} << rank_shift) - 1);
    block* owner = w.in;
    if (rank != 0 && rank - 1 != w.in->rank) {
        if (!may_be_peer) throw fault(kind::cluster, "touches the shared memory of another block by an access that is for its own");
        if (rank - 1 >= c.blocks.size())
            throw fault(kind::cluster, "touches block " + std::to_string(rank - 1) + " of a cluster of " + std::to_string(c.blocks.size()));
        owner = &c.blocks[rank - 1];
        if (owner->has_ended()) throw fault(kind::cluster, "touches the shared memory of a block that has ended");
    }
    if (address >> 32 != 0 || offset + bytes > owner->shared->bytes())
        throw fault(kind::out_of_bounds, "touches " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                                             " of a shared memory of " + std::to_string(owner->shared->bytes()));
    return {owner->shared.get(), offset, nullptr, owner == w.in ? traffic_space::shared : traffic_space::cluster};
}

found in_own(unsigned char* start, std::size_t size, u64 offset, std::size_t bytes) {
    if (offset + bytes > size) throw fault(kind::out_of_bounds, "touches what is beyond the thread's own memory or the parameters");
    return {nullptr, 0, start + offset};
}

found locate(warp& w, const instruction& i, unsigned lane, std::size_t bytes) {
    u64 address = address_of(w, i, lane);
    space where = i.where;
    if (where == space::generic) {
        where = address & shared_window ? space::cluster : address & local_window ? space::own : space::global;
        address &= ~(shared_window | local_window);
    }
    if (address % bytes != 0) throw fault(kind::misaligned, "touches " + std::to_string(bytes) + " bytes at " + hex(address));
    cluster& c = *w.in->in;
    switch (where) {
    case space::shared: return in_shared(w, address, bytes, false);
    case space::cluster: return in_shared(w, address, bytes, true);
    case space::own: return in_own(w.own_of(lane), w.own_bytes, address, bytes);
    case space::parameter: {
        auto* const bytes_of_call = const_cast<unsigned char*>(c.call->parameters.data());
        return in_own(bytes_of_call, c.call->parameters.size(), address, bytes);
    }
    case space::generic:
    case space::global: break;
    }
    const auto [memory, offset] = c.memory->find(address, bytes);
    return {memory, offset, nullptr, traffic_space::global};
}

/// The lanes in the order that the test chose.
template <class F>
void in_turn(const warp& w, lanes on, F f) {
    const u64 seed = w.in->in->how->order_seed;
    const unsigned first = static_cast<unsigned>((seed * 0x9e3779b97f4a7c15u) >> 59);
    for (unsigned k = 0; k != lanes_of_warp; ++k)
        if (const unsigned lane = k ^ first; on >> lane & 1) f(lane);
}

[[noreturn]] void with_lane(const warp& w, unsigned lane, const fault& what) {
    throw fault(what.type, "thread " + std::to_string(w.first + lane) + " " + what.what());
}

void load(warp& w, const instruction& i, lanes on) {
    cluster& c = *w.in->in;
    const auto count = static_cast<unsigned>(i.data.size());
    in_turn(w, on, [&](unsigned lane) {
        try {
            const found at = locate(w, i, lane, std::size_t{i.width} * count);
            const unsigned char* from =
                at.memory ? at.memory->read(*c.when, w.thread(lane), at.offset, i.width, count, i.is_strong) : at.own;
            c.how->loaded[static_cast<std::size_t>(at.counted)] += std::size_t{i.width} * count;
            for (unsigned k = 0; k != count; ++k, from += i.width) {
                u64 bits = 0;
                std::memcpy(&bits, from, i.width);
                if (i.is_signed) bits = static_cast<u64>(static_cast<i64>(bits << (64 - 8 * i.width)) >> (64 - 8 * i.width));
                if (i.data[k] & 1)
                    put<u64>(w, i.data[k] / 2, lane, bits);
                else
                    put<u32>(w, i.data[k] / 2, lane, static_cast<u32>(bits));
            }
        } catch (const fault& what) {
            with_lane(w, lane, what);
        }
    });
    if (i.is_strong) c.when->atomic();
}

void store(warp& w, const instruction& i, lanes on) {
    cluster& c = *w.in->in;
    if (i.is_strong) c.when->atomic();
    const auto count = static_cast<unsigned>(i.data.size());
    in_turn(w, on, [&](unsigned lane) {
        try {
            const found at = locate(w, i, lane, std::size_t{i.width} * count);
            unsigned char* to = at.memory ? at.memory->write(*c.when, w.thread(lane), at.offset, i.width, count, i.is_strong) : at.own;
            c.how->stored[static_cast<std::size_t>(at.counted)] += std::size_t{i.width} * count;
            for (unsigned k = 0; k != count; ++k, to += i.width) {
                const u64 bits = i.data[k] & 1 ? get<u64>(w, i.data[k] / 2, lane) : get<u32>(w, i.data[k] / 2, lane);
                std::memcpy(to, &bits, i.width);
            }
        } catch (const fault& what) {
            with_lane(w, lane, what);
        }
    });
}

bool memory_access(decoder& d, bool stores) {
    const std::string& list = d.operands.at(stores ? 1 : 0);
    const auto symbol = d.address(d.operands.at(stores ? 0 : 1));
    d.made.where = space::generic;
    if (d.has("global") || d.has("const")) d.made.where = space::global;
    if (d.has("shared") || d.has("shared::cta")) d.made.where = space::shared;
    if (d.has("shared::cluster")) d.made.where = space::cluster;
    if (d.has("local")) d.made.where = space::own;
    if (d.has("param") || d.has("param::entry") || d.has("param::func"))
        d.made.where = symbol ? (symbol->where == symbol::space::parameter ? space::parameter : space::own) : space::parameter;
    d.made.width = static_cast<unsigned>(width_of(d.type()));
    if (d.made.width > 8) d.refuse("a value of " + std::to_string(8 * d.made.width) + " bits");
    d.made.is_signed = d.type()[0] == 's';
    d.made.is_strong = d.has("volatile") || d.has("relaxed") || d.has("acquire") || d.has("release");
    for (const std::string& name : d.list(list)) {
        const slot s = stores ? d.stored(name) : d.loaded(name);
        if (d.made.width == 8 && !s.is_wide) d.refuse("register " + name + " is too narrow");
        d.made.data.push_back(2 * s.where + (s.is_wide ? 1 : 0));
    }
    d.made.run = stores ? store : load;
    return true;
}

// ---- atomics

struct update_add {
    template <class T>
    T operator()(T old, T x, T) const {
        return static_cast<T>(static_cast<u64>(old) + static_cast<u64>(x));
    }
};
struct update_least {
    template <class T>
    T operator()(T old, T x, T) const {
        return std::min(old, x);
    }
};
struct update_most {
    template <class T>
    T operator()(T old, T x, T) const {
        return std::max(old, x);
    }
};
struct update_and {
    template <class T>
    T operator()(T old, T x, T) const {
        return old & x;
    }
};
struct update_or {
    template <class T>
    T operator()(T old, T x, T) const {
        return old | x;
    }
};
struct update_xor {
    template <class T>
    T operator()(T old, T x, T) const {
        return old ^ x;
    }
};
struct update_exchange {
    template <class T>
    T operator()(T, T x, T) const {
        return x;
    }
};
struct update_if_equal {
    template <class T>
    T operator()(T old, T expected, T x) const {
        return old == expected ? x : old;
    }
};
struct update_increment {
    template <class T>
    T operator()(T old, T limit, T) const {
        return old >= limit ? T(0) : static_cast<T>(old + 1);
    }
};
struct update_decrement {
    template <class T>
    T operator()(T old, T limit, T) const {
        return old == 0 || old > limit ? limit : static_cast<T>(old - 1);
    }
};

template <class T, class F>
void update(warp& w, const instruction& i, lanes on) {
    cluster& c = *w.in->in;
    c.when->atomic();
    in_turn(w, on, [&](unsigned lane) {
        try {
            const found at = locate(w, i, lane, sizeof(T));
            unsigned char* const where = at.memory ? at.memory->update(*c.when, w.thread(lane), at.offset, sizeof(T)) : at.own;
            c.how->loaded[static_cast<std::size_t>(at.counted)] += sizeof(T);
            c.how->stored[static_cast<std::size_t>(at.counted)] += sizeof(T);
            T old;
            std::memcpy(&old, where, sizeof old);
            const T x = get<T>(w, i.in[1], lane), y = get<T>(w, i.in[2], lane), now = F{}(old, x, y);
            std::memcpy(where, &now, sizeof now);
            put<T>(w, i.out, lane, old);
        } catch (const fault& what) {
            with_lane(w, lane, what);
        }
    });
}

bool atomic(decoder& d) {
    const bool returns = d.name() == "atom";
    std::size_t k = returns ? 1 : 0;
    d.address(d.operands.at(k++));
    d.made.where = d.has("global")                           ? space::global
                   : d.has("shared::cluster")                ? space::cluster
                   : d.has("shared") || d.has("shared::cta") ? space::shared
                                                             : space::generic;
    const auto chosen = [&]<class F>(F) {
        return with_type<u32, i32, u64, i64>(d.type(), [&](auto type) {
            using T = decltype(type);
            d.made.out = d.out(returns ? d.operands[0] : "_", sizeof(T));
            d.made.in[1] = d.in(d.operands.at(k), sizeof(T));
            d.made.in[2] = d.operands.size() > k + 1 ? d.in(d.operands[k + 1], sizeof(T)) : d.made.in[1];
            d.made.run = update<T, F>;
        });
    };
    if (d.has("add")) return chosen(update_add{});
    if (d.has("min")) return chosen(update_least{});
    if (d.has("max")) return chosen(update_most{});
    if (d.has("and")) return chosen(update_and{});
    if (d.has("or")) return chosen(update_or{});
    if (d.has("xor")) return chosen(update_xor{});
    if (d.has("exch")) return chosen(update_exchange{});
    if (d.has("cas")) return chosen(update_if_equal{});
    if (d.has("inc")) return chosen(update_increment{});
    if (d.has("dec")) return chosen(update_decrement{});
    return false;
}

// ---- addresses

template <u64 set, u64 cleared>
struct window {
    u64 operator()(u64 address) const { return (address & ~cleared) | set; }
};

/// The address of the same place in another block of the cluster.
template <class T>
void map_address(warp& w, const instruction& i, lanes on) {
    const std::size_t blocks = w.in->in->blocks.size();
    each(on, [&](unsigned lane) {
        const u32 rank = get<u32>(w, i.in[1], lane);
        if (rank >= blocks)
            throw fault(kind::cluster, "thread " + std::to_string(w.first + lane) + " asks for block " + std::to_string(rank) +
                                           " of a cluster of " + std::to_string(blocks));
        const T address = get<T>(w, i.in[0], lane), low = (T(1) << rank_shift) - 1, high = address >> 31 >> 1 << 31 << 1;
        put<T>(w, i.out, lane, static_cast<T>(high | (address & low) | static_cast<T>(rank + 1) << rank_shift));
    });
}

template <u64 tag>
struct is_in_space {
    bool operator()(u64 address) const { return (address & (shared_window | local_window)) == tag; }
};

bool addresses(decoder& d) {
    if (d.name() == "mapa") {
        const bool is_wide = d.type() == "u64";
        const std::size_t bytes = is_wide ? 8 : 4;
        d.made.out = d.out(d.operands.at(0), bytes);
        d.made.in = {d.in(d.operands.at(1), bytes), d.in(d.operands.at(2), 4)};
        d.made.run = is_wide ? map_address<u64> : map_address<u32>;
        return true;
    }
    if (d.name() == "isspacep") {
        if (d.has("global")) return d.make<bool, is_in_space<0>, u64>();
        if (d.has("local")) return d.make<bool, is_in_space<local_window>, u64>();
        return d.has("shared") && d.make<bool, is_in_space<shared_window>, u64>();
    }
    if (d.name() != "cvta" || d.type() != "u64") return false;
    if (d.has("global") || d.has("const") || d.has("param")) return d.make<u64, window<0, 0>, u64>();
    if (d.has("local")) return d.has("to") ? d.make<u64, window<0, local_window>, u64>() : d.make<u64, window<local_window, 0>, u64>();
    return d.has("to") ? d.make<u64, window<0, shared_window>, u64>() : d.make<u64, window<shared_window, 0>, u64>();
}

} // namespace

bool decode_access(decoder& d) {
    const std::string& n = d.name();
    if (n == "ld" || n == "ldu") return memory_access(d, false);
    if (n == "st") return memory_access(d, true);
    if (n == "atom" || n == "red") return atomic(d);
    return addresses(d);
}

} // namespace ptx
