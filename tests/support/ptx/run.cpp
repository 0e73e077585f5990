// SPDX-License-Identifier: Apache-2.0
#include "run.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

namespace ptx {

bool block::has_ended() const {
    return std::all_of(warps.begin(), warps.end(), [](const warp& w) { return w.live == 0; });
}

std::string demangled(const std::string& name) {
    int status = 0;
    char* const text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
    std::string result = status == 0 ? text : name;
    std::free(text);
    return result;
}

report describe(const module& m, const std::string& kernel, const instruction& i, kind what, const std::string& text) {
    const place& p = m.places[i.place];
    report r{what, demangled(kernel), p.file, p.line, p.outer_line, {}};
    r.text = std::string(name(what)) + " in " + r.kernel + ": " + text + "; at " + p.file + ":" + std::to_string(p.line);
    if (p.outer_line != 0) r.text += ", inlined at " + p.outer_file + ":" + std::to_string(p.outer_line);
    if (!i.text.empty()) r.text += ": " + i.text;
    return r;
}

namespace {

constexpr u64 too_many_instructions = u64{1} << 33;

struct stopped {
    report why;
};

std::vector<std::size_t> turns(std::size_t count, u64 seed) {
    std::vector<std::size_t> all(count);
    std::iota(all.begin(), all.end(), std::size_t{0});
    u64 state = seed;
    for (std::size_t k = count; seed != 0 && k > 1; --k) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        std::swap(all[k - 1], all[(state >> 33) % k]);
    }
    return all;
}

class runner {
    module& module_;
    const function& kernel_;
    const launch& call_;
    settings& how_;
    order& when_;
    cluster cluster_;
    u64 executed_ = 0;

    [[noreturn]] void stop(const instruction& i, kind what, const std::string& text) const {
        throw stopped{describe(module_, kernel_.name, i, what, text)};
    }
    const instruction& at(const warp& w, unsigned lane) const { return module_.code[w.at[lane]]; }

    // ---- one warp

    lanes guarded(const warp& w, const instruction& i, lanes here) const {
        lanes on = 0;
        for (unsigned lane = 0; lane != lanes_of_warp; ++lane) on |= lanes{get<bool>(w, i.guard, lane) != i.guard_is_negated} << lane;
        return on & here;
    }

    void execute(warp& w, instruction& i, lanes on) {
        const auto count = static_cast<u64>(std::popcount(on));
        i.executed += count;
        executed_ += count;
        try {
            i.run(w, i, on);
        } catch (const fault& what) {
            stop(i, what.type, what.what());
        }
    }

    /// Those of the lanes that wait at this instruction with the mask of the first of them, if the mask's lanes are all here; else none.
    /// A lane that has ended does not come: CUDA leaves what happens then to chance where it could still have been running.
    lanes met(const warp& w, const instruction& i, lanes waiting) const {
        const u32 mask = get<u32>(w, i.in[3], static_cast<unsigned>(std::countr_zero(waiting)));
        lanes group = 0;
        each(waiting, [&](unsigned lane) { group |= lanes{get<u32>(w, i.in[3], lane) == mask} << lane; });
        return (mask & all_of(w) & ~group) == 0 && (group & ~mask) == 0 ? group : 0;
    }

    /// Lets a group of lanes go on that wait for one another; false if there is none. What can never go on is a fault.
    bool release_of_warp(warp& w) {
        const instruction* stuck = nullptr;
        for (lanes left = w.live & ~w.running; left != 0; left &= left - 1) {
            const auto lane = static_cast<unsigned>(std::countr_zero(left));
            instruction& i = module_.code[w.at[lane]];
            if (i.then != flow::meet_warp) continue;
            if (!(get<u32>(w, i.in[3], lane) >> lane & 1))
                stop(i, kind::shuffle, "thread " + std::to_string(w.first + lane) + " is not in its own mask");
            lanes same = 0;
            each(left, [&](unsigned other) { same |= lanes{w.at[other] == w.at[lane]} << other; });
            if (const lanes group = met(w, i, same)) {
                execute(w, i, group);
                each(group, [&](unsigned other) { ++w.at[other]; });
                w.running |= group;
                return true;
            }
            stuck = &i;
        }
        if (stuck != nullptr) stop(*stuck, kind::divergence, "lanes of the mask never come here" + where_lanes_are(w));
        return false;
    }

    std::string where_lanes_are(const warp& w) const {
        std::string text;
        std::vector<unsigned> seen;
        each(w.live, [&](unsigned lane) {
            if (std::find(seen.begin(), seen.end(), w.at[lane]) != seen.end()) return;
            seen.push_back(w.at[lane]);
            const place& p = module_.places[at(w, lane).place];
            text +=
                "; thread " + std::to_string(w.first + lane) + " is at " + p.file + ":" + std::to_string(p.line) + ": " + at(w, lane).text;
        });
        return text;
    }

    /// Until every lane waits or has ended. The lanes furthest behind go first, which brings them together again after a branch.
    void advance(warp& w) {
        while (w.running != 0 || release_of_warp(w)) {
            unsigned pc = std::numeric_limits<unsigned>::max(), other = pc;
            lanes here = 0;
            each(w.running, [&](unsigned lane) {
                if (w.at[lane] < pc) {
                    other = pc;
                    pc = w.at[lane];
                    here = 0;
                } else if (w.at[lane] != pc) {
                    other = std::min(other, w.at[lane]);
                }
                if (w.at[lane] == pc) here |= lanes{1} << lane;
            });
            bool together = true;
            while (together && pc < other) {
                instruction& i = module_.code[pc++];
                const lanes on = i.is_guarded ? guarded(w, i, here) : here;
                if (on == 0) continue;
                if (i.then == flow::next || (i.then == flow::meet_warp && met(w, i, on) == on) ||
                    (i.then == flow::meet_cluster && passes_cluster(w, on))) {
                    execute(w, i, on);
                    continue;
                }
                each(here, [&](unsigned lane) { w.at[lane] = pc; });
                together = false;
                if (i.then == flow::jump) {
                    execute(w, i, on);
                } else if (i.then == flow::leave) {
                    i.executed += static_cast<u64>(std::popcount(on));
                    w.live &= ~on;
                    w.running &= ~on;
                } else {
                    each(on, [&](unsigned lane) { w.at[lane] = pc - 1; });
                    w.running &= ~on;
                }
                if (executed_ > too_many_instructions) stop(i, kind::endless, "more than 2^33 instructions");
            }
            if (together) each(here, [&](unsigned lane) { w.at[lane] = pc; });
        }
    }

    // ---- barriers

    lanes waiting(const warp& w, flow what) const {
        lanes found = 0;
        each(w.live, [&](unsigned lane) { found |= lanes{at(w, lane).then == what} << lane; });
        return found;
    }

    bool passes_cluster(warp& w, lanes on) {
        if ((on & ~w.passed) != 0) return false;
        w.passed &= ~on;
        when_.wait(w.thread(0));
        return true;
    }

    bool release_of_block(block& b) {
        if (b.has_ended()) return false;
        const instruction* i = nullptr;
        for (const warp& w : b.warps) {
            const lanes here = waiting(w, flow::meet_block);
            if (here == 0 && w.live != 0) return false; // at the cluster's barrier, all of it
            if (here == 0) continue;
            i = &at(w, static_cast<unsigned>(std::countr_zero(here)));
            const bool apart = std::any_of(w.at.begin(), w.at.end(), [&](const unsigned& pc) {
                return (here >> (&pc - w.at.data()) & 1) != 0 && &module_.code[pc] != i;
            });
            if (here != w.live || apart) stop(*i, kind::divergence, "threads of a warp are at different places" + where_lanes_are(w));
        }
        for (const warp& w : b.warps)
            if (w.live != all_of(w))
                stop(*i, kind::divergence, "threads of the block have ended and never come here, thread " + std::to_string(first_ended(w)));
        for (warp& w : b.warps) {
            execute(w, module_.code[w.at[0]], w.live);
            each(w.live, [&](unsigned lane) { ++w.at[lane]; });
            w.running = w.live;
        }
        when_.meet_block(b.rank);
        return true;
    }
    lanes all_of(const warp& w) const {
        const std::size_t threads = std::min<std::size_t>(call_.block.count() - w.first, lanes_of_warp);
        return threads == lanes_of_warp ? all_lanes : (lanes{1} << threads) - 1;
    }
    std::size_t first_ended(const warp& w) const { return w.first + static_cast<unsigned>(std::countr_zero(all_of(w) & ~w.live)); }

    bool release_of_cluster() {
        bool somebody = false, released = false;
        for (const block& b : cluster_.blocks)
            for (const warp& w : b.warps) {
                if ((w.live & ~w.arrived) != 0) return false;
                somebody = somebody || w.live != 0;
            }
        if (!somebody) return false;
        when_.complete_arrivals();
        for (block& b : cluster_.blocks)
            for (warp& w : b.warps) {
                w.passed = std::exchange(w.arrived, 0);
                const lanes here = waiting(w, flow::meet_cluster);
                if (here == 0 || !passes_cluster(w, here)) continue;
                each(here, [&](unsigned lane) {
                    module_.code[w.at[lane]].executed += 1;
                    ++w.at[lane];
                });
                w.running |= here;
                released = true;
            }
        return released;
    }

    // ---- a cluster

    u32 special(const std::string& name, const block& b, const warp& w, unsigned lane) const {
        const extent thread = call_.block.at(w.first + lane);
        const extent &blocks = call_.grid, &size = call_.block, &part = call_.cluster;
        const auto axis = [&](const extent& e) { return name.ends_with(".x") ? e.x : name.ends_with(".y") ? e.y : e.z; };
        const auto is = [&](const char* what) { return name.substr(0, name.find('.')) == what; };
        const extent clusters{blocks.x / part.x, blocks.y / part.y, blocks.z / part.z}, in_cluster = part.at(b.rank);
        if (is("%tid")) return axis(thread);
        if (is("%ntid")) return axis(size);
        if (is("%ctaid")) return axis(b.index);
        if (is("%nctaid")) return axis(blocks);
        if (is("%laneid")) return lane;
        if (is("%warpid")) return w.first / lanes_of_warp;
        if (is("%clusterid")) return axis(cluster_.index);
        if (is("%nclusterid")) return axis(clusters);
        if (is("%cluster_ctaid")) return axis(in_cluster);
        if (is("%cluster_nctaid")) return axis(part);
        if (is("%cluster_ctarank")) return b.rank;
        if (is("%cluster_nctarank")) return static_cast<u32>(part.count());
        if (is("%lanemask_eq")) return u32{1} << lane;
        if (is("%lanemask_lt")) return (u32{1} << lane) - 1;
        if (is("%lanemask_le")) return ((u32{1} << lane) - 1) << 1 | 1;
        if (is("%lanemask_gt")) return ~(((u32{1} << lane) - 1) << 1 | 1);
        if (is("%lanemask_ge")) return ~((u32{1} << lane) - 1);
        if (is("%dynamic_smem_size")) return static_cast<u32>(call_.dynamic_shared_bytes);
        throw unsupported("special register " + name);
    }

    void make_blocks() {
        const std::size_t threads = call_.block.count();
        const std::size_t dynamic_start =
            (kernel_.shared_bytes + kernel_.dynamic_alignment - 1) / kernel_.dynamic_alignment * kernel_.dynamic_alignment;
        const std::size_t shared = call_.dynamic_shared_bytes != 0 ? dynamic_start + call_.dynamic_shared_bytes : kernel_.shared_bytes;
        for (unsigned rank = 0; rank != call_.cluster.count(); ++rank) {
            block& b = cluster_.blocks.emplace_back();
            b.rank = rank;
            b.shared = std::make_unique<region>(shared);
            for (std::size_t first = 0; first < threads; first += lanes_of_warp) {
                warp& w = b.warps.emplace_back();
                w.first = static_cast<unsigned>(first);
                w.registers.assign(kernel_.registers, 0xfff7fff7u); // a NaN in most types
                w.own_bytes = kernel_.own_bytes;
                w.own.assign(kernel_.own_bytes * lanes_of_warp, 0xff);
                for (const preset& p : kernel_.presets)
                    each(all_lanes, [&](unsigned lane) {
                        if (p.is_wide)
                            put<u64>(w, p.where, lane, p.bits);
                        else
                            put<u32>(w, p.where, lane, static_cast<u32>(p.bits));
                    });
            }
        }
        for (block& b : cluster_.blocks) {
            b.in = &cluster_;
            for (warp& w : b.warps) w.in = &b;
        }
    }

    void run_cluster(const extent& index) {
        cluster_.index = index;
        when_.start_cluster(static_cast<unsigned>(cluster_.blocks.size()));
        for (block& b : cluster_.blocks) {
            const extent in_cluster = call_.cluster.at(b.rank);
            b.index = {index.x * call_.cluster.x + in_cluster.x, index.y * call_.cluster.y + in_cluster.y,
                       index.z * call_.cluster.z + in_cluster.z};
            b.shared->forget(when_.now());
            for (warp& w : b.warps) {
                w.live = w.running = all_of(w);
                w.arrived = w.passed = 0;
                w.at.fill(kernel_.entry);
                for (const special_register& s : kernel_.specials)
                    each(w.live, [&](unsigned lane) { put<u32>(w, s.where, lane, special(s.name, b, w, lane)); });
            }
        }
        const std::vector<std::size_t> order_of_warps = turns(cluster_.blocks[0].warps.size(), how_.order_seed);
        const std::vector<std::size_t> order_of_blocks = turns(cluster_.blocks.size(), how_.order_seed);
        for (bool moved = true; moved;) {
            for (const std::size_t b : order_of_blocks)
                for (const std::size_t k : order_of_warps) advance(cluster_.blocks[b].warps[k]);
            moved = false;
            for (block& b : cluster_.blocks) moved = release_of_block(b) || moved;
            moved = release_of_cluster() || moved;
        }
        for (const block& b : cluster_.blocks)
            for (const warp& w : b.warps)
                if (w.live != 0)
                    stop(at(w, static_cast<unsigned>(std::countr_zero(w.live))), kind::divergence,
                         "other threads never come here" + where_lanes_are(w));
    }

  public:
    runner(module& m, const function& kernel, const launch& call, device_memory& memory, settings& how, order& when)
        : module_(m), kernel_(kernel), call_(call), how_(how), when_(when), cluster_{&kernel, &m, &call, &memory, &how, &when, {}, {}} {}

    std::optional<report> run() {
        try {
            make_blocks();
            when_.start_launch();
            const extent clusters{call_.grid.x / call_.cluster.x, call_.grid.y / call_.cluster.y, call_.grid.z / call_.cluster.z};
            for (const std::size_t k : turns(clusters.count(), how_.order_seed)) run_cluster(clusters.at(k));
        } catch (const stopped& stop) {
            return stop.why;
        }
        return {};
    }
};

} // namespace

std::optional<report> run(module& m, const function& kernel, const launch& call, device_memory& memory, settings& how, order& when) {
    return runner(m, kernel, call, memory, how, when).run();
}

} // namespace ptx
