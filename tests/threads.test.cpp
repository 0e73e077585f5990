// SPDX-License-Identifier: Apache-2.0
// On any executor the bits are those of one thread; a pool works when it is asked from many sides, and after a fork.
#include <car/corrected.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>
#include <car/threads.hpp>

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>

namespace {

/// The last task first: what an executor may do.
struct backwards {
    template <class Task>
    void operator()(std::ptrdiff_t count, Task&& task) const {
        while (count != 0) task(--count);
    }
};
static_assert(car::executor<backwards> && car::executor<car::thread_pool> && !car::executor<int>);

struct problem {
    std::ptrdiff_t rows, classes;
    std::vector<float> p, c;
    std::vector<int> labels;

    problem(std::ptrdiff_t height, std::ptrdiff_t width)
        : rows(height), classes(width), p(static_cast<std::size_t>(height * width)), c(p), labels(static_cast<std::size_t>(height)) {
        cases::generator random(31);
        for (float& v : p) v = static_cast<float>(3 * random.normal());
        for (float& v : c) v = static_cast<float>(3 * random.normal());
        for (int& y : labels) y = static_cast<int>(random.below(static_cast<std::size_t>(width)));
        labels[1] = -100;
        p[static_cast<std::size_t>(5 * width)] = std::nanf(""); // a row without an answer, for which another kernel is asked
        c[static_cast<std::size_t>(7 * width)] = -80;           // a row that is computed in double
    }
    car::matrix_view<const float> P(std::ptrdiff_t first, std::ptrdiff_t count) const {
        return {p.data() + first * classes, count, classes};
    }
    car::matrix_view<const float> C(std::ptrdiff_t first, std::ptrdiff_t count) const {
        return {c.data() + first * classes, count, classes};
    }
};

struct answers {
    std::vector<float> all; // every array of the call, one after the other
    car::loss_result result;

    template <class Backend>
    void compute(const Backend& on, const problem& given, std::ptrdiff_t first, std::ptrdiff_t count) {
        const std::ptrdiff_t cells = given.rows * given.classes;
        all.resize(static_cast<std::size_t>(7 * cells + 3 * given.rows));
        const auto matrix = [&](std::ptrdiff_t which) {
            return car::matrix_view<float>(all.data() + which * cells + first * given.classes, count, given.classes);
        };
        const auto row = [&](std::ptrdiff_t which) {
            return car::vector_view<float>(all.data() + 7 * cells + which * given.rows + first, count);
        };
        const auto p = given.P(first, count), c = given.C(first, count);
        result = car::loss(on, p, c, car::vector_view<const int>(given.labels.data() + first, count), {.reduction = car::reduction::sum},
                           {.grad_p = matrix(0), .grad_c = matrix(1), .row_loss = row(0), .row_divergence = row(1)});
        car::softmax(on, p, matrix(2));
        car::log_softmax(on, p, matrix(3));
        car::log_sum_exp(on, p, row(2));
        car::corrected_softmax(on, p, c, matrix(4));
        car::corrected_softmax_vjp(on, matrix(4), c, {matrix(5), matrix(6)});
    }
    template <class Backend>
    answers(const Backend& on, const problem& given) {
        compute(on, given, 0, given.rows);
    }
    bool operator==(const answers& other) const {
        const auto same = [](double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; };
        return std::memcmp(all.data(), other.all.data(), all.size() * sizeof(float)) == 0 && same(result.value, other.result.value) &&
               same(result.cross_entropy, other.result.cross_entropy) && same(result.divergence, other.result.divergence) &&
               same(result.z_loss, other.result.z_loss) && result.correct == other.result.correct && result.status == other.result.status;
    }
};

const problem problems[] = {{7000, 10}, {300, 400}, {40, 2500}}; // tiles, one piece of a row, several; all with numbers enough to share

} // namespace

TEST_CASE("rows and scalars have the same bits on any executor") {
    for (const problem& given : problems) {
        INFO(given.rows << " x " << given.classes);
        const answers alone(car::simd, given);
        CHECK(alone.result.status.row == 5);
        // No row counts twice, in whichever block it is.
        const car::vector_view<const int> labels(given.labels.data(), given.rows);
        CHECK(alone.result.correct == car::loss(car::scalar, given.P(0, given.rows), given.C(0, given.rows), labels).correct);
        for (const int threads : {1, 2, 3, 8}) CHECK(answers(car::simd.threads(threads), given) == alone);
        const backwards order;
        CHECK(answers(car::simd.on(order), given) == alone);
#if defined(_OPENMP)
        const auto openmp = [](std::ptrdiff_t count, auto&& task) {
#pragma omp parallel for schedule(dynamic) num_threads(3)
            for (std::ptrdiff_t i = 0; i < count; ++i) task(i);
        };
        CHECK(answers(car::simd.on(openmp), given) == alone);
#endif
    }
}

TEST_CASE("rows have the same bits in any split of the batch") {
    for (const problem& given : problems) {
        INFO(given.rows << " x " << given.classes);
        const answers whole(car::simd, given);
        for (const std::ptrdiff_t size : {std::ptrdiff_t(1), std::ptrdiff_t(7), std::ptrdiff_t(33)}) {
            answers split = whole;
            std::fill(split.all.begin(), split.all.end(), -7.f);
            for (std::ptrdiff_t i = 0; i < given.rows; i += size) split.compute(car::simd, given, i, std::min(size, given.rows - i));
            CHECK(std::memcmp(split.all.data(), whole.all.data(), whole.all.size() * sizeof(float)) == 0);
        }
    }
}

TEST_CASE("a pool runs every task once") {
    const car::thread_pool pool(4);
    for (const std::ptrdiff_t count : {0, 1, 2, 5, 1000})
        for (int repeat = 0; repeat != 50; ++repeat) {
            std::vector<std::atomic<int>> ran(static_cast<std::size_t>(count));
            pool(count, [&](std::ptrdiff_t i) { ++ran[static_cast<std::size_t>(i)]; });
            for (const auto& times : ran) CHECK(times == 1);
        }
}

TEST_CASE("a pool that is asked by many at once, and by its own tasks") {
    const car::thread_pool pool(3);
    std::atomic<int> ran = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i != 4; ++i)
        callers.emplace_back([&] {
            for (int repeat = 0; repeat != 100; ++repeat) pool(10, [&](std::ptrdiff_t) { pool(3, [&](std::ptrdiff_t) { ++ran; }); });
        });
    for (std::thread& caller : callers) caller.join();
    CHECK(ran == 4 * 100 * 10 * 3);
}

TEST_CASE("a pool works in a forked process") {
    const car::thread_pool pool(3);
    std::atomic<int> before = 0;
    pool(10, [&](std::ptrdiff_t) { ++before; });
    CHECK(before == 10);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::atomic<int> ran = 0, others = 0;
        const std::thread::id mine = std::this_thread::get_id();
        for (int repeat = 0; repeat != 200 && others == 0; ++repeat)
            pool(30, [&](std::ptrdiff_t) {
                ++ran;
                others += std::this_thread::get_id() != mine;
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            });
        _exit(ran % 30 == 0 && others > 0 ? 0 : 1); // the child has threads of its own
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("one pool for each number of threads, and no lock that a forked process would wait for") {
    CHECK(&car::detail::shared_pool(0) == &car::detail::shared_pool(1));
    CHECK(&car::detail::shared_pool(-3) == &car::detail::shared_pool(1));
    const car::thread_pool& two = car::detail::shared_pool(2);
    CHECK(two.threads() == 2);
    CHECK(&two == &car::detail::shared_pool(2));
    std::thread another([] {
        for (int count = 3; count != 20; ++count) car::detail::shared_pool(count);
    });
    for (int repeat = 0; repeat != 10; ++repeat) {
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            alarm(20);
            std::atomic<int> ran = 0;
            car::detail::shared_pool(2)(8, [&](std::ptrdiff_t) { ++ran; });
            _exit(ran == 8 ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
    another.join();
}

TEST_CASE("a task that throws ends the program, whoever runs it") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::set_terminate([] { _exit(3); });
        const car::thread_pool pool(2);
        try {
            pool(100, [](std::ptrdiff_t) { throw std::runtime_error("a task"); });
        } catch (const std::runtime_error&) {
            _exit(1);
        }
        _exit(2);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 3);
}

#if defined(__SANITIZE_THREAD__)
constexpr bool has_thread_sanitizer = true;
#elif defined(__has_feature)
constexpr bool has_thread_sanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool has_thread_sanitizer = false;
#endif

// Not under the thread sanitizer, which has a thread and terabytes of addresses of its own.
TEST_CASE("a pool that the system refuses its threads throws, and leaves none behind" * doctest::skip(has_thread_sanitizer)) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        rlim_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        const rlim_t memory = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t(1) << 28); // stacks for a few threads
        const rlimit limit{memory, memory};
        bool refused = false;
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        try {
            const car::thread_pool pool(100000);
        } catch (const std::system_error&) {
            refused = true;
        }
        const auto alone = [] {
            const std::filesystem::directory_iterator tasks("/proc/self/task");
            return std::distance(begin(tasks), end(tasks)) == 1;
        };
        for (int wait = 0; wait != 1000 && !alone(); ++wait) // the system may list a thread a moment longer than it is waited for
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        _exit(refused && alone() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
