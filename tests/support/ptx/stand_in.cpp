// SPDX-License-Identifier: Apache-2.0
#include "stand_in.hpp"

#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace ptx {

namespace {

/// The host's memory that it must not touch yet: what a copy will fill, and nobody has waited for. Read by the handler of the signal.
struct guarded_pages {
    std::atomic<const unsigned char*> start = nullptr;
    std::atomic<std::size_t> bytes = 0;
};
guarded_pages guarded[64];
std::atomic<bool> was_touched = false;

void on_touch(int number, siginfo_t* info, void*) {
    const auto* at = static_cast<const unsigned char*>(info->si_addr);
    for (guarded_pages& g : guarded) {
        const unsigned char* const start = g.start;
        if (start == nullptr || at < start || at >= start + g.bytes) continue;
        mprotect(const_cast<unsigned char*>(start), g.bytes, PROT_READ | PROT_WRITE);
        g.start = nullptr;
        was_touched = true;
        return;
    }
    std::signal(number, SIG_DFL); // the host follows an address of the device, or a wild one
}

void at_end() {
    stand_in& device = stand_in::get();
    const bool is_clean = device.take_reports().empty();
    device.report_leaks();
    if (device.take_reports().empty() && is_clean) return;
    std::cout.flush(); // which _Exit does not do
    std::fflush(nullptr);
    std::_Exit(86);
}

} // namespace

stand_in& stand_in::get() {
    static stand_in* const device = new stand_in; // outlives what runs at the end of the program
    return *device;
}

stand_in::stand_in() { std::atexit(at_end); }

// ---- reports

void stand_in::report_fault(report r) {
    std::fprintf(stderr, "stand-in: %s\n", r.text.c_str());
    reports_.push_back(std::move(r));
    is_broken = true;
}

void stand_in::report_fault(kind what, const std::string& where, const std::string& text) {
    report r{what, where, {}, 0, 0, std::string(name(what)) + " in " + where + ": " + text};
    report_fault(std::move(r));
}

std::vector<report> stand_in::take_reports() {
    if (was_touched.exchange(false))
        report_fault(kind::synchronisation, "the host", "touches memory that a copy has yet to fill, without waiting for its stream");
    for (const auto& [id, s] : streams_)
        if (const auto left = std::count_if(s.work.begin(), s.work.end(), [](const item& i) { return i.why == purpose::work; });
            left != 0 && !is_broken)
            report_fault(kind::synchronisation, "stream " + std::to_string(id),
                         std::to_string(left) + " things to do, and nobody waits for them");
    for (auto& [id, s] : streams_) release_all(s);
    is_broken = false;
    return std::exchange(reports_, {});
}

void stand_in::report_leaks() {
    if (const std::size_t live = memory.live(); live != 0)
        report_fault(kind::leak, "the program", std::to_string(live) + " allocations of the device never freed");
}

// ---- counters

counts stand_in::counters() const {
    counts all;
    for (const module& m : modules)
        for (const instruction& i : m.code) {
            all.instructions += i.executed;
            if (i.executed != 0) all.opcodes[i.opcode()] += i.executed;
        }
    for (std::size_t k = 0; k != how.loaded.size(); ++k) {
        all.loaded_bytes[traffic_names[k]] = how.loaded[k];
        all.stored_bytes[traffic_names[k]] = how.stored[k];
    }
    return all;
}

void stand_in::reset_counters() {
    for (module& m : modules)
        for (instruction& i : m.code) i.executed = 0;
    how.loaded = how.stored = {};
}

// ---- streams

stand_in::stream_id stand_in::new_stream(bool waits_for_default) {
    streams_[++last_stream_] = {waits_for_default};
    return last_stream_;
}

void stand_in::end_stream(stream_id id) {
    finish(id);
    streams_.erase(id);
}

void stand_in::put(stream_id id, action run, purpose why) {
    stream& s = streams_.at(id);
    if (s.is_recording)
        s.recorded.push_back(std::move(run));
    else
        s.work.push_back({++numbers_, std::move(run), why});
}

void stand_in::finish_until(stream_id id, u64 number) {
    stream& s = streams_.at(id);
    while (!s.work.empty() && s.work.front().number <= number && !is_broken) {
        const item next = std::move(s.work.front());
        s.work.pop_front();
        // The default stream and the others wait for one another, but for those that were made not to.
        if (id == 0) {
            for (const auto& [other, state] : streams_)
                if (other != 0 && state.waits_for_default) finish_until(other, next.number);
        } else if (s.waits_for_default) {
            finish_until(0, next.number);
        }
        if (!is_broken || next.why == purpose::release) next.run();
    }
    if (is_broken) release_all(s);
}

void stand_in::release_all(stream& s) {
    for (const item& i : std::exchange(s.work, {}))
        if (i.why == purpose::release) i.run();
}

void stand_in::finish(stream_id id) { finish_until(id, numbers_); }

void stand_in::finish_everything() {
    for (const auto& [id, s] : streams_) finish(id);
}

bool stand_in::is_idle(stream_id id) const { return streams_.at(id).work.empty(); }

void stand_in::start_recording(stream_id id) { streams_.at(id).is_recording = true; }
std::vector<stand_in::action> stand_in::end_recording(stream_id id) {
    streams_.at(id).is_recording = false;
    return std::exchange(streams_.at(id).recorded, {});
}
bool stand_in::is_recording(stream_id id) const { return streams_.at(id).is_recording; }

void stand_in::launch_kernel(stream_id id, kernel_entry& k, launch call) {
    put(id, [this, &k, call = std::move(call)] {
        try {
            if (auto fault = run(*k.code, *k.entry, call, memory, how, when_)) report_fault(std::move(*fault));
        } catch (const unsupported& what) {
            report_fault(kind::unsupported, k.entry->name, what.what());
        }
    });
}

// ---- the host's memory

void* stand_in::allocate_host(std::size_t bytes) {
    auto memory_of_host = std::make_unique<pages>(bytes);
    unsigned char* const start = memory_of_host->data();
    host_[start] = {std::move(memory_of_host), bytes};
    return start;
}

bool stand_in::free_host(void* start) { return host_.erase(static_cast<const unsigned char*>(start)) != 0; }

bool stand_in::is_host(const void* at) const {
    const auto after = host_.upper_bound(static_cast<const unsigned char*>(at));
    return after != host_.begin() && static_cast<const unsigned char*>(at) < std::prev(after)->first + std::prev(after)->second.bytes;
}

void stand_in::protect(const void* at, bool from_the_host) {
    const auto& [start, memory_of_host] = *std::prev(host_.upper_bound(static_cast<const unsigned char*>(at)));
    for (guarded_pages& g : guarded)
        if (g.start == start && !from_the_host) g.start = nullptr;
    if (from_the_host) {
        guarded_pages* const place =
            std::find_if(std::begin(guarded), std::end(guarded), [](const guarded_pages& g) { return g.start == nullptr; });
        if (place == std::end(guarded)) return; // more than this table has room for: not watched
        struct sigaction touch = {};            // again and again: a test's own handlers may have come in between
        touch.sa_sigaction = on_touch;
        touch.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &touch, nullptr);
        place->bytes = memory_of_host.bytes;
        place->start = start;
    }
    mprotect(const_cast<unsigned char*>(start), memory_of_host.bytes, from_the_host ? PROT_NONE : PROT_READ | PROT_WRITE);
}

// ---- what a test asks of the machine

const char* name(kind what) {
    switch (what) {
    case kind::race: return "race";
    case kind::divergence: return "divergence";
    case kind::shuffle: return "shuffle";
    case kind::out_of_bounds: return "out of bounds";
    case kind::overflow: return "overflow";
    case kind::misaligned: return "misaligned";
    case kind::undefined: return "undefined memory";
    case kind::host_pointer: return "pointer of the host";
    case kind::freed: return "freed memory";
    case kind::leak: return "leak";
    case kind::synchronisation: return "missing synchronisation";
    case kind::cluster: return "cluster";
    case kind::launch: return "launch";
    case kind::endless: return "endless";
    case kind::unsupported: return "unsupported";
    }
    return "?";
}

bool is_stand_in() { return true; }
std::vector<report> take_reports() { return stand_in::get().take_reports(); }
counts counters() { return stand_in::get().counters(); }
void report_leaks() { stand_in::get().report_leaks(); }
void reset_counters() { stand_in::get().reset_counters(); }
void perturb(double relative) { stand_in::get().how.perturbation = relative; }
void shuffle_order(std::uint64_t seed) { stand_in::get().how.order_seed = seed; }
void set_device(const device_properties& properties) { stand_in::get().how.device = properties; }

} // namespace ptx
