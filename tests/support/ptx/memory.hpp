// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory whose every access is checked: bounds, alignment, whether it was ever written, and whether another thread touches the same
// word at the same time.

#include "machine.hpp" // kinds of faults
#include "number.hpp"  // u16, u32, u64

#include <cstddef>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

namespace ptx {

struct fault : std::runtime_error {
    kind type;
    fault(kind k, const std::string& text) : std::runtime_error(text), type(k) {}
};

/// A thread of a cluster: 1024 times the block's rank, plus the thread's place in the block.
using thread_id = u16;
inline constexpr unsigned threads_of_block = 1024, lanes_of_warp = 32, blocks_of_cluster = 16;
inline constexpr unsigned warps_of_block = threads_of_block / lanes_of_warp;

/// Which accesses are ordered, in the cluster that runs. A clock ticks wherever threads wait for one another; what `other` did before
/// the time `since(me, other)` has happened before all that `me` does now.
class order {
    struct warp_times {
        u32 all = 0;                                       ///< the last time that the whole warp met
        std::map<std::pair<unsigned, unsigned>, u32> pair; ///< where only a part of it did
        std::vector<u32> arrivals;                         ///< at the cluster's barrier
        std::size_t waits = 0;                             ///< of those, waited for
    };
    struct past_cluster {
        u32 start, released = 0;
    };
    u32 clock_ = 0, launch_ = 0, start_ = 0;
    u32 block_[blocks_of_cluster] = {};
    std::vector<warp_times> warps_;
    std::vector<u32> completed_;     ///< when the last of a cluster's threads came to its barrier
    std::vector<past_cluster> past_; ///< of this launch
    u32 fence_ = 0;
    bool acquired_ = false;

  public:
    u32 now() const { return clock_; }
    void start_launch();
    void start_cluster(unsigned blocks);
    void meet_block(unsigned rank) { block_[rank] = ++clock_; }
    void meet_warp(thread_id first, u32 lanes, bool whole);
    void arrive(thread_id first) { warps_[first / lanes_of_warp].arrivals.push_back(++clock_); }
    void wait(thread_id first) { warps_[first / lanes_of_warp].waits = completed_.size(); }
    void fence() { fence_ = ++clock_; }
    void atomic();

    void complete_arrivals() { completed_.push_back(++clock_); }

    u32 since(thread_id me, thread_id other) const;
    u32 since_block(thread_id me, unsigned rank) const; ///< all of a block's threads
    u32 since_cluster(thread_id me) const;              ///< and all of the cluster's
    bool in_this_cluster(u32 time) const { return time >= start_; }
    /// Whether what another cluster of this launch did at this time is seen here: it fenced and told, and this one asked.
    bool is_told(u32 time) const;
    bool before_launch(u32 time) const { return time < launch_; }
};

/// Who touched a word last.
struct cell {
    u32 write_time = 0, read_time = 0;
    u32 readers = 0;      ///< lanes of one warp
    u16 writer = 0;       ///< the highest bit: by a strong access
    u16 reading_warp = 0; ///< or a block, or all of them
    static constexpr u16 a_block = 0x8000, all_blocks = 0xffff, strongly = 0x8000;
};

/// Zeros of the operating system, which cost nothing until they are touched.
class pages {
    unsigned char* data_ = nullptr;
    std::size_t bytes_ = 0;

  public:
    explicit pages(std::size_t bytes);
    ~pages();
    pages(const pages&) = delete;
    pages& operator=(const pages&) = delete;
    unsigned char* data() const { return data_; }
};

class region {
    std::size_t bytes_;
    pages data_, defined_;
    std::unique_ptr<pages> cells_;
    unsigned grain_ = 4; ///< bytes of a cell
    u32 start_ = 0;      ///< what a cell says of earlier times is of another block

    void refine(unsigned grain);
    void touch_read(const order&, cell&, thread_id, bool strong) const;
    void touch_write(const order&, cell&, thread_id, bool strong) const;
    template <class Touch>
    void each_cell(std::size_t offset, unsigned width, unsigned count, Touch touch);

  public:
    explicit region(std::size_t bytes) : bytes_(bytes), data_(bytes), defined_(bytes) {}
    std::size_t bytes() const { return bytes_; }
    unsigned char* data() const { return data_.data(); }
    void define(std::size_t offset, std::size_t bytes);
    /// Undefined again, and untouched before this time.
    void forget(u32 now);
    void copy(std::size_t offset, const region& from, std::size_t from_offset, std::size_t bytes);
    /// What nobody has written shows, where it is copied to the host: all ones, which is a NaN.
    void show_undefined(std::size_t offset, unsigned char* copied, std::size_t bytes) const;
    /// `count` values of `width` bytes each, by one thread; what is in bounds and aligned. A strong access races with no other one.
    unsigned char* read(const order&, thread_id, std::size_t offset, unsigned width, unsigned count, bool strong = false);
    unsigned char* write(const order&, thread_id, std::size_t offset, unsigned width, unsigned count, bool strong = false);
    unsigned char* update(const order&, thread_id, std::size_t offset, unsigned width);
};

/// The device's memory. Its addresses are the host's in no program, so a host that follows one stops there; none is used twice.
class device_memory {
    struct allocation {
        std::unique_ptr<region> memory;
        std::size_t bytes;
        bool is_variable = false;
    };
    std::map<u64, allocation> live_;
    std::map<u64, std::size_t> freed_;
    u64 next_;
    mutable std::map<u64, allocation>::const_iterator last_ = live_.end();

  public:
    device_memory();
    u64 allocate(std::size_t bytes, bool is_variable = false);
    void free(u64 address);
    bool owns(u64 address) const;
    std::size_t live() const; ///< allocations, without the variables of modules
    /// The region and the offset in it; else the fault.
    std::pair<region*, std::size_t> find(u64 address, std::size_t bytes) const;
};

/// 0x1000, as people write addresses.
std::string hex(u64);

} // namespace ptx
