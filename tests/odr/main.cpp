// SPDX-License-Identifier: Apache-2.0
// The linker keeps one copy of every inline function. Whichever it keeps, both halves must compute the same, and each must fail in
// its own way: the one that has exceptions throws, the other says why and aborts.
#include "half.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace {

bool same_results() {
    const auto one = checked::figures(), two = unchecked::figures();
    bool same = one.size() == two.size();
    for (std::size_t i = 0; same && i != one.size(); ++i) {
        const double difference = one[i].value > two[i].value ? one[i].value - two[i].value : two[i].value - one[i].value;
        std::printf("%-20s %a and %a\n", one[i].name, one[i].value, two[i].value);
        same = difference <= one[i].tolerance;
    }
    return same;
}

bool checked_throws() {
    try {
        checked::fail();
    } catch (const std::invalid_argument& error) {
        return std::strstr(error.what(), "car::loss: label in row 1 is 5") != nullptr;
    }
    return false;
}

bool unchecked_aborts() {
    try {
        unchecked::fail();
    } catch (const std::exception&) {
        std::puts("the half without exceptions threw one");
    }
    return false;
}

/// Runs a check in a process of its own: true if it ends with this signal, or with none and the check holds.
bool holds(const char* name, bool (*check)(), int signal) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) _exit(check() ? std::fflush(stdout) : 1);
    int status = 0;
    waitpid(child, &status, 0);
    const bool held = signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    std::printf("%s: %s\n", held ? "ok" : "FAILED", name);
    return held;
}

} // namespace

int main() {
    int failures = 0;
    failures += !holds("both halves compute the same", same_results, 0);
    failures += !holds("the half with exceptions throws", checked_throws, 0);
    failures += !holds("the half without exceptions aborts", unchecked_aborts, SIGABRT);
    return failures;
}
