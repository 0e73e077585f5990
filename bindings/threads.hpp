// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <car/threads.hpp>

#include <memory>

namespace binding {

/// The process's pool, as `car.set_num_threads` left it. Who holds it may finish on it, also when another one takes its place.
std::shared_ptr<const car::thread_pool> process_pool();

/// The executor of every call. It asks for the pool when there is something to share: a small call never does.
struct process_threads {
    template <class Task>
    void operator()(std::ptrdiff_t count, Task&& task) const {
        (*process_pool())(count, task);
    }
};
inline constexpr process_threads on_process_threads{};

} // namespace binding
