// SPDX-License-Identifier: Apache-2.0
// The loss against what a memory can do and what one writes by hand. Run by script/bench, which makes ratios of these times: variants are
// sampled in turn, so that what the machine does meanwhile meets them all. Every answer is checked before it is timed.
#include "baselines.hpp"

#include <car/loss.hpp>
#include <car/threads.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#if !defined(__OPTIMIZE__)
#error "a benchmark of a build without optimisation says nothing"
#endif

namespace {

struct shape {
    std::ptrdiff_t rows, classes;
    std::string name() const { return std::to_string(rows) + "x" + std::to_string(classes); }
};

/// What the logits are drawn from.
enum class data { normal, wide, low_mask, masked, one_hot, high_c };
const std::map<data, std::string> data_names{{data::normal, "normal"}, {data::wide, "wide"},       {data::low_mask, "low_mask"},
                                             {data::masked, "masked"}, {data::one_hot, "one_hot"}, {data::high_c, "high_c"}};

/// Batches of one shape: one that stays in cache, or as many as fill a gibibyte, taken in turn.
struct batches {
    shape size;
    std::size_t count;
    std::vector<float> p, c, to_p, to_c;
    std::vector<int> labels;
    std::size_t next = 0;

    batches(const shape& of, data kind, bool from_memory) : size(of) {
        const auto cells = static_cast<std::size_t>(of.rows * of.classes), classes = static_cast<std::size_t>(of.classes);
        count = from_memory ? (std::size_t(1) << 28) / cells / 2 + 1 : 1;
        p.resize(count * cells);
        c.resize(count * cells);
        to_p.assign(count * cells, 0);
        to_c.assign(count * cells, 0);
        std::mt19937 random(7);
        std::normal_distribution<float> normal(0, kind == data::wide ? 30.f : 3.f);
        for (std::size_t i = 0; i != cells; ++i) {
            p[i] = normal(random);
            c[i] = normal(random);
            const std::size_t column = i % classes;
            const bool third = column % 3 == 1;
            if (kind == data::low_mask && third) p[i] = -1e4f;
            if (kind == data::masked && third) p[i] = -HUGE_VALF;
            if (kind == data::one_hot) p[i] = column == 5 ? 100.f : 0.f;
            if (kind == data::high_c) c[i] = p[i] += column == 37 * (i / classes) % classes ? 45.f : 0.f;
        }
        for (std::size_t k = 1; k != count; ++k) {
            std::copy_n(p.begin(), cells, p.begin() + static_cast<std::ptrdiff_t>(k * cells));
            std::copy_n(c.begin(), cells, c.begin() + static_cast<std::ptrdiff_t>(k * cells));
        }
        for (std::ptrdiff_t i = 0; i != of.rows; ++i)
            labels.push_back(static_cast<int>(random() % static_cast<unsigned>(of.classes) / 3 * 3)); // never a masked class
    }
    struct views {
        car::matrix_view<const float> p, c;
        car::matrix_view<float> to_p, to_c;
        const int* labels;

        operator baselines::batch() const { return {p.data, c.data, labels, p.rows, p.cols}; }
    };
    views take() {
        const std::size_t at = next * static_cast<std::size_t>(size.rows * size.classes);
        next = (next + 1) % count;
        return {{p.data() + at, size.rows, size.classes},
                {c.data() + at, size.rows, size.classes},
                {to_p.data() + at, size.rows, size.classes},
                {to_c.data() + at, size.rows, size.classes},
                labels.data()};
    }
};

/// Batches are made when their first benchmark runs, and the last ones go then: they are up to 2 GiB.
batches& shared(const shape& of, data kind, bool from_memory) {
    static std::map<std::string, std::unique_ptr<batches>> made;
    auto& found = made[of.name() + data_names.at(kind) + (from_memory ? "memory" : "")];
    if (!found) found = std::make_unique<batches>(of, kind, from_memory);
    return *found;
}

using task = std::function<double(batches&)>;

void check(const std::string& name, double got, double want, double allowed) {
    if (std::abs(got - want) <= allowed * std::abs(want)) return;
    std::fprintf(stderr, "%s: %.9g, expected %.9g\n", name.c_str(), got, want);
    std::exit(1);
}

void add(const std::string& variant, const shape& of, data kind, bool from_memory, const task& run, double allowed = 1e-5) {
    const std::string name = variant + "/" + of.name() + "/" + data_names.at(kind) + (from_memory ? "/memory" : "/cache");
    auto checked = std::make_shared<bool>(allowed == 0);
    auto* const entry = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        batches& on = shared(of, kind, from_memory);
        if (!*checked) {
            const auto batch = on.take();
            check(name, run(on), car::loss(car::scalar, batch.p, batch.c, on.labels).value, allowed);
            *checked = true;
        }
        for (auto _ : state) benchmark::DoNotOptimize(run(on));
        const double cells = static_cast<double>(of.rows * of.classes);
        state.counters["ns_per_element"] =
            benchmark::Counter(cells * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
        state.counters["rows_per_second"] = benchmark::Counter(static_cast<double>(of.rows), benchmark::Counter::kIsIterationInvariantRate);
    });
    entry->UseRealTime();
}

template <class Backend>
double forward(const Backend& on, batches& all, car::precision precision) {
    const auto batch = all.take();
    return car::loss(on, batch.p, batch.c, all.labels, {.precision = precision}).value;
}
template <class Backend>
double both(const Backend& on, batches& all, car::precision precision) {
    const auto batch = all.take();
    return car::loss(on, batch.p, batch.c, all.labels, {.precision = precision}, {.grad_p = batch.to_p, .grad_c = batch.to_c}).value;
}

/// Logits of two bytes, or column after column.
template <class T>
struct other_layout {
    std::vector<T> p, c, to_p, to_c;
    shape size;
    bool by_column;

    other_layout(batches& from, bool columns) : size(from.size), by_column(columns) {
        const auto copy = [&](const std::vector<float>& values, std::vector<T>& to) {
            to.resize(static_cast<std::size_t>(size.rows * size.classes));
            for (std::ptrdiff_t i = 0; i != size.rows; ++i)
                for (std::ptrdiff_t k = 0; k != size.classes; ++k)
                    view(to)(i, k) = static_cast<T>(values[static_cast<std::size_t>(i * size.classes + k)]);
        };
        copy(from.p, p);
        copy(from.c, c);
        to_p = p;
        to_c = c;
    }
    car::matrix_view<T> view(std::vector<T>& of) const {
        if (by_column) return {of.data(), size.rows, size.classes, 1, size.rows};
        return {of.data(), size.rows, size.classes};
    }
    double forward(batches& all) { return car::loss(car::simd, view(p), view(c), all.labels).value; }
    double both(batches& all) {
        return car::loss(car::simd, view(p), view(c), all.labels, {}, {.grad_p = view(to_p), .grad_c = view(to_c)}).value;
    }
};

template <class T>
void add_layout(const std::string& name, const shape& of, bool columns, double allowed) {
    auto made = std::make_shared<std::unique_ptr<other_layout<T>>>();
    const auto layout = [=](batches& all) -> other_layout<T>& {
        if (!*made) *made = std::make_unique<other_layout<T>>(all, columns);
        return **made;
    };
    add(
        name + ".forward", of, data::normal, false, [=](batches& all) { return layout(all).forward(all); }, allowed);
    add(
        name + ".both", of, data::normal, false, [=](batches& all) { return layout(all).both(all); }, allowed);
}

void add_variants(const shape& of, bool from_memory) {
    using enum car::precision;
    const data kind = data::normal;
    add("simd.forward", of, kind, from_memory, [](batches& all) { return forward(car::simd, all, accurate); });
    add("simd.both", of, kind, from_memory, [](batches& all) { return both(car::simd, all, accurate); });
    add("fast.forward", of, kind, from_memory, [](batches& all) { return forward(car::simd, all, fast); });
    add("fast.both", of, kind, from_memory, [](batches& all) { return both(car::simd, all, fast); });
    add("eigen_rows.forward", of, kind, from_memory, [](batches& all) {
        const auto batch = all.take();
        return baselines::eigen_rows(batch, nullptr, nullptr);
    });
    add("eigen_rows.both", of, kind, from_memory, [](batches& all) {
        const auto batch = all.take();
        return baselines::eigen_rows(batch, batch.to_p.data, batch.to_c.data);
    });
    add(
        "read_two", of, kind, from_memory,
        [](batches& all) {
            const auto batch = all.take();
            return static_cast<double>(baselines::read_two(batch));
        },
        0);
    add(
        "copy_two", of, kind, from_memory,
        [](batches& all) {
            const auto batch = all.take();
            baselines::copy_two(batch, batch.to_p.data, batch.to_c.data);
            return 0.0;
        },
        0);
    if (from_memory) return;
    add("plain_loop.forward", of, kind, false, [](batches& all) {
        const auto batch = all.take();
        return baselines::plain_loop(batch, nullptr, nullptr);
    });
    add("plain_loop.both", of, kind, false, [](batches& all) {
        const auto batch = all.take();
        return baselines::plain_loop(batch, batch.to_p.data, batch.to_c.data);
    });
    add("xtensor_rows.forward", of, kind, false, [](batches& all) {
        const auto batch = all.take();
        return baselines::xtensor_rows(batch);
    });
    add("two_threads.forward", of, kind, false, [](batches& all) { return forward(car::simd.threads(2), all, accurate); });
    add("two_threads.both", of, kind, false, [](batches& all) { return both(car::simd.threads(2), all, accurate); });
}

#if defined(__x86_64__)
/// One of the library's own exponentials for every number of p and of c, and nothing else.
using exponentials_loop = void(const float* p, const float* c, std::ptrdiff_t size, float* to);
[[gnu::noinline, gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]] void
two_exponentials_avx512(const float* p, const float* c, std::ptrdiff_t size, float* to) {
    car::kernel::simd_row::avx512::exponentials(p, size, 0.f, {}, to);
    car::kernel::simd_row::avx512::exponentials(c, size, 0.f, {}, to);
}
[[gnu::noinline, gnu::target("avx2,fma,f16c,no-avx512f")]] void two_exponentials_avx2(const float* p, const float* c, std::ptrdiff_t size,
                                                                                      float* to) {
    car::kernel::simd_row::avx2::exponentials(p, size, 0.f, {}, to);
    car::kernel::simd_row::avx2::exponentials(c, size, 0.f, {}, to);
}
void add_exponentials(const shape& of) {
    const auto set = car::active_instruction_set();
    if (set == car::instruction_set::portable) return;
    exponentials_loop* const two = set == car::instruction_set::avx512 ? two_exponentials_avx512 : two_exponentials_avx2;
    add(
        "two_exponentials", of, data::normal, false,
        [two](batches& all) {
            const auto batch = all.take();
            for (std::ptrdiff_t i = 0; i != all.size.rows; ++i)
                two(batch.p.row(i).data, batch.c.row(i).data, all.size.classes, batch.to_p.row(i).data);
            return 0.0;
        },
        0);
}
#endif

} // namespace

int main(int argc, char** argv) {
    for (const shape& of : {shape{1, 10}, {16, 10}, {256, 10}, {256, 400}, {1024, 1000}, {256, 32000}, {64, 128256}})
        add_variants(of, false);
    for (const shape& of : {shape{1024, 1000}, {256, 32000}, {64, 128256}}) add_variants(of, true);
    for (const shape& of : {shape{256, 400}, {1024, 1000}}) {
        for (const data kind : {data::wide, data::low_mask, data::masked, data::one_hot, data::high_c}) {
            add("simd.forward", of, kind, false, [](batches& all) { return forward(car::simd, all, car::precision::accurate); });
            add("simd.both", of, kind, false, [](batches& all) { return both(car::simd, all, car::precision::accurate); });
        }
        add_layout<car::bfloat16>("bfloat16", of, false, 0.02);
        add_layout<car::float16>("float16", of, false, 0.005);
        add_layout<float>("by_column", of, true, 1e-5);
        add_exponentials(of);
    }
    benchmark::Initialize(&argc, argv);
    benchmark::AddCustomContext("instruction_set", std::to_string(static_cast<int>(car::active_instruction_set())));
    benchmark::RunSpecifiedBenchmarks();
}
