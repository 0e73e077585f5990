// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp" // simd, executors

#include <algorithm>          // std::max
#include <atomic>             // the next task
#include <chrono>             // how long a thread looks before it sleeps
#include <condition_variable> // threads that wait
#include <memory>             // the state of a pool
#include <mutex>              // what they share
#include <thread>             // the threads
#include <vector>             // all of them

#include <unistd.h> // getpid: a forked process has none of the threads

namespace car::inline CAR_ABI {

/// Threads that wait for work: an executor, `car::simd.on(pool)`.
///
/// The calling thread works too. A call while another one is running, or from a task, is done by its caller alone. A thread looks for
/// work for at most 50 microseconds before it sleeps. In a forked process the threads are made anew. A task that throws ends the program.
class thread_pool {
    struct job {
        std::ptrdiff_t count;
        void* task;
        void (*run)(void*, std::ptrdiff_t);
        std::atomic<std::ptrdiff_t> next{0};

        void work() noexcept {
            for (std::ptrdiff_t i = next++; i < count; i = next++) run(task, i);
        }
    };

    struct crew {
        const pid_t process = getpid();
        std::mutex mutex, busy;
        std::condition_variable wake, idle;
        std::atomic<std::uint64_t> jobs{0}; // how many there have been: changes when there is one
        job* current = nullptr;
        int working = 0;
        bool stop = false;
        std::vector<std::thread> threads;

        explicit crew(int others) {
            // For where the system gives no more of them.
            std::unique_ptr<crew, void (*)(crew*)> incomplete(this, [](crew* all) { all->dismiss(); });
            for (int i = 0; i < others; ++i) threads.emplace_back([this] { wait_and_work(); });
            static_cast<void>(incomplete.release());
        }
        ~crew() { dismiss(); }

        void dismiss() {
            {
                const std::lock_guard lock(mutex);
                stop = true;
            }
            ++jobs;
            wake.notify_all();
            for (std::thread& thread : threads) thread.join();
        }

        void wait_and_work() {
            std::uint64_t seen = 0;
            for (;;) {
                const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
                while (jobs.load(std::memory_order_acquire) == seen && std::chrono::steady_clock::now() < until) std::this_thread::yield();
                std::unique_lock lock(mutex);
                wake.wait(lock, [&] { return stop || jobs.load(std::memory_order_relaxed) != seen; });
                if (stop) return;
                seen = jobs.load(std::memory_order_relaxed);
                if (!current) continue; // it was done before this thread came
                job* const mine = current;
                ++working;
                lock.unlock();
                mine->work();
                lock.lock();
                if (--working == 0) idle.notify_all();
            }
        }

        void run(job& all) {
            {
                const std::lock_guard lock(mutex);
                current = &all;
                jobs.fetch_add(1, std::memory_order_release);
            }
            wake.notify_all();
            all.work();
            std::unique_lock lock(mutex);
            current = nullptr; // a thread that has not come by now is not waited for
            idle.wait(lock, [&] { return working == 0; });
        }
    };

    int threads_;
    mutable std::atomic<crew*> crew_;

    crew& own_crew() const {
        crew* found = crew_.load(std::memory_order_acquire);
        if (found->process == getpid()) return *found;
        auto made = std::make_unique<crew>(threads_ - 1); // the parent's threads are not here, nor can its locks be trusted: it is left
        if (crew_.compare_exchange_strong(found, made.get())) return *made.release();
        return *found;
    }

  public:
    /// As many threads as that, the caller's among them. Throws std::system_error where there are not so many to be had.
    explicit thread_pool(int threads) : threads_(threads < 1 ? 1 : threads), crew_(new crew(threads_ - 1)) {}
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    ~thread_pool() {
        crew* const last = crew_.load();
        if (last->process == getpid()) delete last;
    }

    int threads() const { return threads_; }

    template <class Task>
    void operator()(std::ptrdiff_t count, Task&& task) const {
        job all{count, const_cast<void*>(static_cast<const void*>(&task)),
                [](void* of, std::ptrdiff_t i) { (*static_cast<std::remove_reference_t<Task>*>(of))(i); }};
        if (threads_ > 1 && count > 1) {
            crew& mine = own_crew();
            if (const std::unique_lock busy(mine.busy, std::try_to_lock); busy) return mine.run(all);
        }
        all.work();
    }
};

namespace detail {

/// One pool for each number of threads, made when it is asked for and kept.
inline const thread_pool& shared_pool(int threads) {
    struct entry {
        thread_pool pool;
        entry* next = nullptr;

        explicit entry(int count) : pool(count) {}
    };
    static constinit std::atomic<entry*> first{nullptr}; // no lock: a process that is forked while one is held would wait for ever
    std::unique_ptr<entry> made;
    for (entry* top = first.load(std::memory_order_acquire);;) {
        for (const entry* one = top; one; one = one->next)
            if (one->pool.threads() == std::max(threads, 1)) return one->pool;
        if (!made) made = std::make_unique<entry>(threads);
        made->next = top;
        if (first.compare_exchange_weak(top, made.get(), std::memory_order_acq_rel)) return made.release()->pool;
    }
}

} // namespace detail

inline auto simd_backend::threads(int count) const { return on(detail::shared_pool(count)); }

} // namespace car::inline CAR_ABI
