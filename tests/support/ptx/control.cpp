// SPDX-License-Identifier: Apache-2.0
// Where lanes go on: branches, calls, returns; and where they wait for one another: barriers, fences.
#include "decode.hpp"

namespace ptx {

namespace {

void branch(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) { w.at[lane] = i.target; });
}

void indexed_branch(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        const u32 which = get<u32>(w, i.in[0], lane);
        if (which >= i.data.size()) throw fault(kind::out_of_bounds, "an indexed branch beyond its targets");
        w.at[lane] = i.data[which];
    });
}

void copy_own(warp& w, const instruction& i, unsigned lane) {
    unsigned char* const own = w.own_of(lane);
    for (const copy& c : i.copies) std::memcpy(own + c.to, own + c.from, c.bytes);
}

void call_function(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) {
        copy_own(w, i, lane);
        put<u32>(w, i.out, lane, w.at[lane]); // which is behind the call by now
        w.at[lane] = i.target;
    });
}

void take_results(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) { copy_own(w, i, lane); });
}

void return_to_caller(warp& w, const instruction& i, lanes on) {
    each(on, [&](unsigned lane) { w.at[lane] = get<u32>(w, i.in[0], lane); });
}

void nothing(warp&, const instruction&, lanes) {}

void stop(warp&, const instruction&, lanes) { throw fault(kind::launch, "the kernel asked to be stopped"); }

void fence(warp& w, const instruction&, lanes) { w.in->in->when->fence(); }

void arrive(warp& w, const instruction&, lanes on) {
    if (w.arrived & on) throw fault(kind::divergence, "arrives at the cluster's barrier twice without waiting for it");
    w.arrived |= on;
    w.in->in->when->arrive(w.thread(0));
}

} // namespace

bool decode_control(decoder& d) {
    const std::string& n = d.name();
    if (n == "bra") {
        d.jump_to(d.operands.at(0));
        d.made.then = flow::jump;
        d.made.run = branch;
        return true;
    }
    if (n == "brx") {
        d.made.in[0] = d.in(d.operands.at(0), 4);
        d.jump_to_one_of(d.operands.at(1));
        d.made.then = flow::jump;
        d.made.run = indexed_branch;
        return true;
    }
    if (n == "call") {
        d.made.run = call_function;
        d.call();
        d.made.run = take_results;
        return true;
    }
    if (n == "exit" || (n == "ret" && d.is_kernel())) {
        d.made.then = flow::leave;
        return true;
    }
    if (n == "ret") {
        d.made.in[0] = d.return_register();
        d.made.then = flow::jump;
        d.made.run = return_to_caller;
        return true;
    }
    if (n == "trap") {
        d.made.run = stop;
        return true;
    }
    if (n == "fence" || n == "membar") {
        const bool is_of_block = d.has("cta");
        d.made.run = is_of_block ? nothing : fence;
        return true;
    }
    if (n == "nanosleep" || n == "prefetch" || n == "prefetchu" || n == "discard" || n == "griddepcontrol" || n == "applypriority") {
        d.made.run = nothing;
        return true;
    }
    if ((n == "bar" || n == "barrier") && !d.has("warp") && !d.has("cluster")) {
        if (!d.has("sync") || d.operands.at(0) != "0" || d.operands.size() != 1) d.refuse("a barrier of a part of the block");
        d.made.then = flow::meet_block;
        d.made.run = nothing;
        return true;
    }
    if (n == "barrier" && d.has("cluster")) {
        if (d.has("arrive")) {
            d.made.run = arrive;
        } else {
            d.made.then = flow::meet_cluster;
            d.made.run = nothing;
        }
        return true;
    }
    return false;
}

} // namespace ptx
