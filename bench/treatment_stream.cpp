// SPDX-License-Identifier: Apache-2.0
// A hundred million rows in a stream: rows a second of every estimator against a plain sum of the same memory, and the memory in use
// before and after. `g++ -std=c++20 -O2 -I include bench/treatment_stream.cpp -o build/stream && build/stream [rows]`
#include <car/effect.hpp>
#include <car/treatment.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <vector>

namespace {

double resident() { // megabytes
    std::ifstream file("/proc/self/statm");
    double total = 0, pages = 0;
    file >> total >> pages;
    return pages * 4096 / 1e6;
}

struct arrays { // larger than any cache; the stream passes over them again and again
    static constexpr std::size_t rows = std::size_t{1} << 22;
    std::vector<std::int8_t> t = std::vector<std::int8_t>(rows), s = t;
    std::vector<double> y = std::vector<double>(rows), e = y, mu0 = y, mu1 = y;

    arrays() {
        std::uint64_t state = 1;
        const auto uniform = [&] {
            state = state * 6364136223846793005u + 1442695040888963407u;
            return static_cast<double>(state >> 11) * 0x1p-53;
        };
        for (std::size_t i = 0; i != rows; ++i) {
            e[i] = 0.1 + 0.8 * uniform();
            t[i] = uniform() < e[i];
            s[i] = static_cast<std::int8_t>(4 * uniform());
            mu0[i] = uniform(), mu1[i] = uniform(), y[i] = uniform() + t[i];
        }
    }
};

template <class Add>
double measure(const char* name, std::int64_t rows, double bytes, double reference, Add add) {
    const double before = resident();
    const auto start = std::chrono::steady_clock::now();
    constexpr std::size_t batch = 65536;
    std::int64_t done = 0;
    for (std::size_t at = 0; done < rows; at = (at + batch) % arrays::rows, done += batch) add(at, batch);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                 rate = static_cast<double>(done) / seconds;
    std::printf("%-22s %7.1f M rows/s  %6.2f GB/s", name, rate / 1e6, rate * bytes / 1e9);
    if (reference > 0) std::printf("  %5.1f %% of the memory's", 100 * rate * bytes / reference);
    std::printf("  resident %+.1f MB\n", resident() - before);
    return rate * bytes;
}

} // namespace

int main(int argc, char** argv) {
    const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) : 100'000'000;
    const arrays all;
    const auto part = [](const auto& values, std::size_t at, std::size_t size) { return std::span(values).subspan(at, size); };
    double sum = 0;
    const double memory = measure("sum of the memory", rows, 33, 0, [&](std::size_t at, std::size_t size) {
        double lane[4][4] = {};
        std::int64_t treated = 0;
        for (std::size_t i = at; i != at + size; i += 4)
            for (std::size_t k = 0; k != 4; ++k) {
                lane[0][k] += all.y[i + k], lane[1][k] += all.e[i + k], lane[2][k] += all.mu0[i + k], lane[3][k] += all.mu1[i + k];
                treated += all.t[i + k];
            }
        for (const auto& l : lane) sum += l[0] + l[1] + l[2] + l[3];
        sum += static_cast<double>(treated);
    });
    double checksum = sum;
    const auto stream = [&](const char* name, const auto& how, double bytes, const car::treatment_options& options = {}) {
        car::treatment_accumulator accumulator(how, options);
        measure(name, rows, bytes, memory, [&](std::size_t at, std::size_t size) {
            accumulator.add(
                {part(all.t, at, size), part(all.y, at, size), part(all.e, at, size), part(all.mu0, at, size), part(all.mu1, at, size)});
        });
        checksum += accumulator.result().mean;
    };
    stream("difference in means", car::difference_in_means{}, 9);
    stream("Horvitz-Thompson", car::horvitz_thompson{}, 17);
    stream("Hajek", car::hajek{}, 17);
    stream("T-learner", car::t_learner{}, 25);
    stream("AIPW", car::aipw{}, 33);
    stream("AIPW on the treated", car::aipw_treated{}, 25);
    car::plug_in_accumulator strata(4);
    measure("back-door strata", rows, 10, memory,
            [&](std::size_t at, std::size_t size) { strata.add(part(all.t, at, size), part(all.y, at, size), part(all.s, at, size)); });
    checksum += strata.back_door().mean;
    std::printf("checksum %.6f\n", checksum);
    return 0;
}
