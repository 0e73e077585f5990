// SPDX-License-Identifier: Apache-2.0
#include "threads.hpp"

#include "options.hpp"

#include <mutex>

#include <pthread.h>

namespace binding {

namespace {

constexpr std::int64_t most_threads = 1024; // a slip is no reason to start a million

struct setting {
    std::mutex mutex;
    std::shared_ptr<const car::thread_pool> pool = std::make_shared<car::thread_pool>(1);

    setting();
};
setting& process_setting() {
    static setting one;
    return one;
}
/// No process is forked while the mutex is held, for nobody would let it go there.
setting::setting() {
    const auto unlock = [] { process_setting().mutex.unlock(); };
    pthread_atfork([] { process_setting().mutex.lock(); }, unlock, unlock);
}

void set_num_threads(const py::object& num_threads) {
    const char* op = "set_num_threads";
    const auto count = from_python<std::int64_t>(op, "num_threads", num_threads);
    if (count < 1 || count > most_threads)
        value_error(op, "num_threads is " + std::to_string(count) + ", expected 1 to " + std::to_string(most_threads));
    if (count == process_pool()->threads()) return;
    const py::gil_scoped_release unlocked; // the last call on the old pool may have to end first
    std::shared_ptr<const car::thread_pool> pool = std::make_shared<car::thread_pool>(static_cast<int>(count));
    const std::lock_guard lock(process_setting().mutex);
    process_setting().pool.swap(pool);
}

} // namespace

std::shared_ptr<const car::thread_pool> process_pool() {
    const std::lock_guard lock(process_setting().mutex);
    return process_setting().pool;
}

void bind_threads(py::module_& module) {
    define(module, "set_num_threads", &set_num_threads, py::arg("num_threads"),
           R"(set_num_threads(num_threads: int) -> None

On how many threads a call may run, the caller's among them; 1 until it is set.

The threads are the process's: whoever calls while another call runs on them works alone, and a forked process makes its own. The loss,
`car.softmax`, `car.log_softmax`, `car.log_sum_exp` and `car.corrected_softmax` run on them, and with the loss `car.torch` and `car.jax`: of
2^16 logits or more, on the backend 'simd', which has no corrected softmax of float64. The bits are the same on any number of threads.

Shapes
    num_threads: an integer.
Units
    threads.
Errors
    ValueError for a number that is not 1 to 1024, TypeError for what is no integer, RuntimeError where the system gives no more threads.

>>> car.set_num_threads(2)
>>> car.get_num_threads()
2
>>> car.set_num_threads(1)
)");
    define(
        module, "get_num_threads", [] { return process_pool()->threads(); },
        R"(get_num_threads() -> int

On how many threads a call may run, as `car.set_num_threads` left it.

Shapes
    one integer.
Units
    threads.
Errors
    none.

>>> car.get_num_threads()
1
)");
    // For car._ffi, which has a copy of its own of what is inline.
    module.attr("_process_pool") = py::capsule(reinterpret_cast<void*>(&process_pool));
}

} // namespace binding
