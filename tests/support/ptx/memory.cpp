// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

namespace ptx {

std::string hex(u64 value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

// ---- what is ordered

void order::start_launch() {
    launch_ = ++clock_;
    past_.clear();
}

void order::start_cluster(unsigned blocks) {
    start_ = ++clock_;
    std::fill(block_, block_ + blocks, start_);
    warps_.assign(blocks * warps_of_block, {});
    completed_.clear();
    past_.push_back({start_});
    fence_ = 0;
    acquired_ = false;
}

void order::meet_warp(thread_id first, u32 lanes, bool whole) {
    warp_times& warp = warps_[first / lanes_of_warp];
    ++clock_;
    if (whole) {
        warp.all = clock_;
        return;
    }
    for (unsigned a = 0; a != lanes_of_warp; ++a)
        for (unsigned b = 0; b != lanes_of_warp; ++b)
            if (lanes >> a & lanes >> b & 1) warp.pair[{a, b}] = clock_;
}

void order::atomic() {
    if (fence_ != 0) past_.back().released = fence_;
    acquired_ = true;
}

u32 order::since(thread_id me, thread_id other) const {
    const unsigned my_warp = me / lanes_of_warp, its_warp = other / lanes_of_warp;
    u32 time = 0;
    if (me / threads_of_block == other / threads_of_block) time = block_[me / threads_of_block];
    if (my_warp == its_warp) {
        const warp_times& warp = warps_[my_warp];
        time = std::max(time, warp.all);
        if (const auto met = warp.pair.find({me % lanes_of_warp, other % lanes_of_warp}); met != warp.pair.end())
            time = std::max(time, met->second);
    }
    if (const std::size_t waits = warps_[my_warp].waits; waits != 0 && warps_[its_warp].arrivals.size() >= waits)
        time = std::max(time, warps_[its_warp].arrivals[waits - 1]);
    return time;
}

u32 order::since_cluster(thread_id me) const {
    const std::size_t waits = warps_[me / lanes_of_warp].waits;
    return waits != 0 && completed_.size() >= waits ? completed_[waits - 1] : 0;
}

u32 order::since_block(thread_id me, unsigned rank) const {
    return std::max(since_cluster(me), me / threads_of_block == rank ? block_[rank] : 0);
}

bool order::is_told(u32 time) const {
    const auto after = std::upper_bound(past_.begin(), past_.end(), time, [](u32 t, const past_cluster& c) { return t < c.start; });
    return acquired_ && after != past_.begin() && (after - 1)->released > time;
}

// ---- one piece of memory

pages::pages(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
    void* const got = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<unsigned char*>(got);
}

pages::~pages() { munmap(data_, bytes_); }

void region::define(std::size_t offset, std::size_t bytes) { std::memset(defined_.data() + offset, 1, bytes); }

void region::forget(u32 now) {
    std::memset(defined_.data(), 0, bytes_);
    start_ = now;
}

void region::copy(std::size_t offset, const region& from, std::size_t from_offset, std::size_t bytes) {
    std::memmove(data() + offset, from.data() + from_offset, bytes);
    std::memmove(defined_.data() + offset, from.defined_.data() + from_offset, bytes);
}

void region::show_undefined(std::size_t offset, unsigned char* copied, std::size_t bytes) const {
    for (std::size_t k = 0; k != bytes; ++k)
        if (defined_.data()[offset + k] == 0) copied[k] = 0xff;
}

/// Smaller cells, each with what the larger one knew.
void region::refine(unsigned grain) {
    auto finer = std::make_unique<pages>((bytes_ / grain + 1) * sizeof(cell));
    if (cells_) {
        const auto* from = reinterpret_cast<const cell*>(cells_->data());
        auto* to = reinterpret_cast<cell*>(finer->data());
        for (std::size_t k = 0; k <= bytes_ / grain; ++k) to[k] = from[k / (grain_ / grain)];
    }
    cells_ = std::move(finer);
    grain_ = grain;
}

template <class Touch>
void region::each_cell(std::size_t offset, unsigned width, unsigned count, Touch touch) {
    if (!cells_ || width < grain_) refine(std::min(width, grain_));
    auto* const cells = reinterpret_cast<cell*>(cells_->data());
    const std::size_t last = (offset + std::size_t{width} * count - 1) / grain_;
    for (std::size_t k = offset / grain_; k <= last; ++k) {
        if (cells[k].write_time < start_) cells[k].write_time = 0;
        if (cells[k].read_time < start_) cells[k].read_time = 0;
        touch(cells[k]);
    }
}

[[noreturn]] static void race(const char* does, const char* did, thread_id me, thread_id other) {
    std::string who = "thread " + std::to_string(other % threads_of_block);
    if (me / threads_of_block != other / threads_of_block)
        who += " of block " + std::to_string(other / threads_of_block) + " of the cluster";
    throw fault(kind::race, std::string(does) + " what " + who + " " + did + ", and nothing orders the two");
}

static void check_writer(const order& when, const cell& c, thread_id me, const char* does) {
    const thread_id writer = c.writer & static_cast<u16>(~cell::strongly);
    if (c.write_time == 0 || when.before_launch(c.write_time)) return;
    if (!when.in_this_cluster(c.write_time)) {
        if (!when.is_told(c.write_time))
            throw fault(kind::race, std::string(does) + " what another block wrote, and nothing orders the two");
    } else if (writer != me && c.write_time >= when.since(me, writer)) {
        race(does, "wrote", me, writer);
    }
}

/// What all readers of a cell but those of one warp have done before is before this.
static u32 since_readers(const order& when, const cell& c, thread_id me) {
    if (c.reading_warp == cell::all_blocks) return when.since_cluster(me);
    return when.since_block(me, c.reading_warp & cell::a_block ? c.reading_warp & ~cell::a_block : c.reading_warp / warps_of_block);
}

void region::touch_read(const order& when, cell& c, thread_id me, bool strong) const {
    if (!strong || !(c.writer & cell::strongly)) check_writer(when, c, me, "reads");
    if (strong) return;
    const u16 warp = static_cast<u16>(me / lanes_of_warp), block = static_cast<u16>(me / threads_of_block | cell::a_block);
    const u32 lane = 1u << me % lanes_of_warp;
    // A reader of another cluster is forgotten here: a later write of a third one is found by its own reading.
    const bool fresh = c.read_time == 0 || !when.in_this_cluster(c.read_time);
    if (!fresh && c.reading_warp == warp) {
        if (c.read_time != when.now())
            for (unsigned k = 0; k != lanes_of_warp; ++k)
                if (c.readers >> k & 1 && c.read_time < when.since(me, static_cast<thread_id>(warp * lanes_of_warp + k)))
                    c.readers &= ~(1u << k);
        c.readers |= lane;
    } else if (fresh || c.read_time < since_readers(when, c, me)) {
        c.readers = lane;
        c.reading_warp = warp;
    } else {
        const bool same =
            c.reading_warp == block || (c.reading_warp < cell::a_block && c.reading_warp / warps_of_block == warp / warps_of_block);
        c.reading_warp = same ? block : cell::all_blocks;
    }
    c.read_time = when.now();
}

static void check_readers(const order& when, const cell& c, thread_id me) {
    if (c.read_time == 0 || when.before_launch(c.read_time)) return;
    if (!when.in_this_cluster(c.read_time)) {
        if (!when.is_told(c.read_time)) throw fault(kind::race, "writes what another block read, and nothing orders the two");
    } else if (c.reading_warp & cell::a_block) {
        if (c.read_time >= since_readers(when, c, me))
            throw fault(kind::race, "writes what threads of several warps read, and nothing orders the two");
    } else {
        for (unsigned k = 0; k != lanes_of_warp; ++k) {
            const auto reader = static_cast<thread_id>(c.reading_warp * lanes_of_warp + k);
            if (c.readers >> k & 1 && reader != me && c.read_time >= when.since(me, reader)) race("writes", "read", me, reader);
        }
    }
}

void region::touch_write(const order& when, cell& c, thread_id me, bool strong) const {
    if (!strong || !(c.writer & cell::strongly)) check_writer(when, c, me, "writes");
    check_readers(when, c, me);
    c.write_time = when.now();
    c.writer = static_cast<u16>(me | (strong ? cell::strongly : 0));
}

static void require_defined(const unsigned char* defined, std::size_t bytes) {
    if (std::memchr(defined, 0, bytes) != nullptr) throw fault(kind::undefined, "reads memory that nobody has written");
}

unsigned char* region::read(const order& when, thread_id me, std::size_t offset, unsigned width, unsigned count, bool strong) {
    require_defined(defined_.data() + offset, std::size_t{width} * count);
    each_cell(offset, width, count, [&](cell& c) { touch_read(when, c, me, strong); });
    return data() + offset;
}

unsigned char* region::write(const order& when, thread_id me, std::size_t offset, unsigned width, unsigned count, bool strong) {
    each_cell(offset, width, count, [&](cell& c) { touch_write(when, c, me, strong); });
    define(offset, std::size_t{width} * count);
    return data() + offset;
}

unsigned char* region::update(const order& when, thread_id me, std::size_t offset, unsigned width) {
    require_defined(defined_.data() + offset, width);
    return write(when, me, offset, width, 1, true);
}

// ---- the device's memory

namespace {
constexpr u64 first_address = u64{1} << 45, gap = u64{1} << 12, alignment = 256;
} // namespace

device_memory::device_memory() : next_(first_address) {}

u64 device_memory::allocate(std::size_t bytes, bool is_variable) {
    const u64 address = next_;
    next_ += (bytes + gap + alignment - 1) / alignment * alignment;
    live_[address] = {std::make_unique<region>(bytes), bytes, is_variable};
    return address;
}

void device_memory::free(u64 address) {
    const auto found = live_.find(address);
    if (found == live_.end())
        throw fault(freed_.contains(address) ? kind::freed : kind::out_of_bounds,
                    freed_.contains(address) ? "memory freed twice" : hex(address) + " freed, which was not allocated");
    freed_[address] = found->second.bytes;
    live_.erase(found);
    last_ = live_.end();
}

std::size_t device_memory::live() const {
    return static_cast<std::size_t>(std::count_if(live_.begin(), live_.end(), [](const auto& a) { return !a.second.is_variable; }));
}

bool device_memory::owns(u64 address) const { return address >= first_address && address < next_; }

std::pair<region*, std::size_t> device_memory::find(u64 address, std::size_t bytes) const {
    const auto holds = [&](auto it) { return address >= it->first && address - it->first + bytes <= it->second.bytes; };
    if (last_ == live_.end() || !holds(last_)) {
        const auto after = live_.upper_bound(address);
        last_ = after == live_.begin() ? live_.end() : std::prev(after);
    }
    if (last_ != live_.end() && holds(last_)) {
        return {last_->second.memory.get(), address - last_->first};
    }

    const std::string what = "touches " + std::to_string(bytes) + " bytes at " + hex(address);
    if (const auto after = freed_.upper_bound(address); after != freed_.begin())
        if (const auto& [start, size] = *std::prev(after); address - start < size) throw fault(kind::freed, what + ", which was freed");
    for (const u64 wrapped : {u64{1} << 32, u64{2} << 32, u64{4} << 32, u64{8} << 32})
        for (const auto& [start, allocated] : live_)
            if (address + wrapped - start < allocated.bytes)
                throw fault(kind::overflow, what + ", 2^32 elements below where the index would have been: it wrapped");
    if (!owns(address)) {
        unsigned char resident = 0;
        void* const page = reinterpret_cast<void*>(address / gap * gap);
        if (address < first_address * 4 && mincore(page, 1, &resident) == 0) throw fault(kind::host_pointer, what + ", memory of the host");
        throw fault(kind::out_of_bounds, what + ", in no allocation");
    }
    const auto after = live_.upper_bound(address);
    if (after == live_.begin()) throw fault(kind::out_of_bounds, what + ", in no allocation");
    const auto& [start, allocated] = *std::prev(after);
    throw fault(kind::out_of_bounds,
                what + ": " + std::to_string(address - start) + " bytes into an allocation of " + std::to_string(allocated.bytes));
}

} // namespace ptx
