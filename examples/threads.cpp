// SPDX-License-Identifier: Apache-2.0
// The loss on the library's threads, and on an executor of one's own.
#include <car/loss.hpp>
#include <car/threads.hpp>

#include <cstdio>
#include <thread>
#include <vector>

int main() {
    const std::ptrdiff_t rows = 512, classes = 1000;
    std::vector<float> p(rows * classes), c(rows * classes), grad_p(p.size()), grad_c(p.size());
    std::vector<int> labels(rows);
    for (std::size_t i = 0; i != p.size(); ++i) {
        p[i] = static_cast<float>(i * 7919 % 1013) * 0.01f;
        c[i] = static_cast<float>(i * 104729 % 997) * 0.01f;
    }
    const car::matrix_view P(p.data(), rows, classes), C(c.data(), rows, classes), to_p(grad_p.data(), rows, classes),
        to_c(grad_c.data(), rows, classes);

    // Anything that runs every task and returns when all are done.
    const auto one_thread_each = [](std::ptrdiff_t count, auto&& task) {
        std::vector<std::jthread> threads;
        for (std::ptrdiff_t i = 0; i != count; ++i) threads.emplace_back([&task, i] { task(i); });
    };

    const auto alone = car::loss(P, C, labels, {}, {.grad_p = to_p, .grad_c = to_c});
    const auto pool = car::loss(car::simd.threads(2), P, C, labels, {}, {.grad_p = to_p, .grad_c = to_c});
    const auto own = car::loss(car::simd.on(one_thread_each), P, C, labels, {}, {.grad_p = to_p, .grad_c = to_c});
    std::printf("loss %.6f, the same on two threads and on one for each block\n", alone.value);
    return alone.value == pool.value && alone.value == own.value ? 0 : 1;
}
