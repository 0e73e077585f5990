// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the functions of the runtime act on: the device that is not there. A stream is lazy: what is put into it is done when somebody
// waits for it, so that a program that does not wait finds out.

#include "run.hpp" // kernels

#include <deque>
#include <functional>
#include <map>

namespace ptx {

class stand_in {
  public:
    using action = std::function<void()>;
    using stream_id = u64; ///< 0 is the default stream
    struct kernel_entry {
        module* code = nullptr;
        const function* entry = nullptr;
        std::string missing = {}; ///< why there is none
        std::size_t dynamic_shared_limit = 48 * 1024;
        bool takes_any_cluster = false;
    };

    static stand_in& get();

    std::deque<module> modules;
    device_memory memory;
    settings how;
    bool is_broken = false; ///< after a fault nothing works until somebody has read the report

    void report_fault(report);
    void report_fault(kind, const std::string& where, const std::string& text);
    std::vector<report> take_reports();
    void report_leaks();
    counts counters() const;
    void reset_counters();

    // ---- streams
    stream_id new_stream(bool waits_for_default);
    void end_stream(stream_id);
    /// What only gives something back need not be waited for, and is done after a fault too.
    enum class purpose { work, release };
    void put(stream_id, action, purpose = purpose::work);
    void finish(stream_id);
    void finish_everything();
    bool is_idle(stream_id) const;
    bool knows(stream_id id) const { return streams_.contains(id); }
    u64 last_number() const { return numbers_; }
    void finish_until(stream_id, u64 number);

    // ---- graphs: what is put into a stream that records is kept, and done when the graph is launched
    void start_recording(stream_id);
    std::vector<action> end_recording(stream_id);
    bool is_recording(stream_id) const;

    void launch_kernel(stream_id, kernel_entry&, launch);

    // ---- the host's memory that the device's copies know of
    void* allocate_host(std::size_t bytes);
    bool free_host(void*);
    bool is_host(const void* at) const;
    void protect(const void* at, bool from_the_host);

  private:
    struct item {
        u64 number;
        action run;
        purpose why;
    };
    struct stream {
        bool waits_for_default = true;
        std::deque<item> work = {};
        bool is_recording = false;
        std::vector<action> recorded = {};
    };
    struct host_pages {
        std::unique_ptr<pages> memory;
        std::size_t bytes;
    };

    stand_in();
    void release_all(stream&);

    std::map<stream_id, stream> streams_ = {{0, {}}};
    u64 numbers_ = 0, last_stream_ = 0;
    order when_;
    std::vector<report> reports_;
    std::map<const unsigned char*, host_pages> host_;
};

} // namespace ptx
