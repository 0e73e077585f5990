// SPDX-License-Identifier: Apache-2.0
// What the loss with both gradients costs on a GPU, beside a copy of as many bytes: times of events, the second-level cache flushed before
// each. `script/bench --cuda` builds and runs it. Where there is no GPU it runs on the stand-in, whose times mean nothing.
#include <car/cuda.hpp>

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

void check(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s\n", cudaGetErrorString(error));
    std::exit(1);
}

template <class T>
class device_array {
    T* data_ = nullptr;

  public:
    explicit device_array(std::size_t size) { check(cudaMalloc(&data_, size * sizeof(T))); }
    device_array(const std::vector<T>& values) : device_array(values.size()) {
        check(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    }
    ~device_array() { cudaFree(data_); }
    device_array(const device_array&) = delete;
    device_array& operator=(const device_array&) = delete;
    T* get() const { return data_; }
};

/// Seconds that the work takes on the device, after what is in its cache has been overwritten.
template <class Work>
double seconds(cudaStream_t stream, char* flush, std::size_t flushed, Work work) {
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    check(cudaMemsetAsync(flush, 0, flushed, stream));
    check(cudaEventRecord(begin, stream));
    work();
    check(cudaEventRecord(end, stream));
    check(cudaEventSynchronize(end));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end));
    check(cudaEventDestroy(begin));
    check(cudaEventDestroy(end));
    return milliseconds / 1e3;
}

template <class T>
void loss(benchmark::State& state) {
    const std::ptrdiff_t rows = state.range(0), cols = state.range(1);
    const auto size = static_cast<std::size_t>(rows * cols);
    const std::size_t flushed = std::size_t{1} << (state.range(2) != 0 ? 28 : 10);
    std::vector<T> logits(size), others(size);
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(rows), 1);
    for (std::size_t k = 0; k != size; ++k)
        logits[k] = static_cast<T>(std::sin(static_cast<double>(k) * 0.37) * 3),
        others[k] = static_cast<T>(std::cos(static_cast<double>(k)));
    cudaStream_t stream;
    check(cudaStreamCreate(&stream));
    {
        const device_array<T> p(logits), c(others), grad_p(size), grad_c(size);
        const device_array<std::int64_t> labels(wanted);
        const device_array<car::term_of<T>> row_loss(static_cast<std::size_t>(rows));
        const device_array<char> flush(flushed);
        const auto matrix = [&](const device_array<T>& m) { return car::matrix_view<T, car::device>(m.get(), rows, cols); };
        const auto once = [&] {
            car::device_loss_arrays<T> arrays;
            arrays.grad_p = matrix(grad_p), arrays.grad_c = matrix(grad_c);
            arrays.row_loss = {row_loss.get(), rows};
            const auto status =
                car::loss(car::cuda.on(stream), matrix(p), matrix(c), car::vector_view<std::int64_t, car::device>(labels.get(), rows),
                          {.reduction = car::reduction::none}, arrays);
            if (!status.ok()) state.SkipWithError(status.reason);
        };

        // The answer before its time: the first row's loss, as it is printed.
        once();
        std::vector<car::term_of<T>> got(1);
        check(cudaStreamSynchronize(stream));
        check(cudaMemcpy(got.data(), row_loss.get(), sizeof got[0], cudaMemcpyDeviceToHost));
        double sum = 0, other = 0, mean = 0;
        for (std::ptrdiff_t k = 0; k != cols; ++k) {
            const double a = static_cast<double>(logits[static_cast<std::size_t>(k)]),
                         b = static_cast<double>(others[static_cast<std::size_t>(k)]);
            sum += std::exp(a), other += std::exp(a - b), mean += std::exp(a) * b;
        }
        const double want = std::log(sum) - static_cast<double>(logits[1]) + mean / sum + std::log(other) - std::log(sum);
        if (!(std::abs(static_cast<double>(got[0]) - want) <= 1e-4 * want)) state.SkipWithError("the answer is wrong");

        double all = 0, copied = 0;
        for (auto _ : state) {
            const double time = seconds(stream, flush.get(), flushed, once);
            copied += seconds(stream, flush.get(), flushed, [&] {
                check(cudaMemcpyAsync(grad_p.get(), p.get(), size * sizeof(T), cudaMemcpyDeviceToDevice, stream));
                check(cudaMemcpyAsync(grad_c.get(), c.get(), size * sizeof(T), cudaMemcpyDeviceToDevice, stream));
            });
            all += time;
            state.SetIterationTime(time);
        }
        state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(4 * size * sizeof(T)));
        state.counters["of_copy"] = copied / all; // 1: as fast as a copy of the same bytes
    }
    check(cudaStreamDestroy(stream));
}

void shapes(benchmark::internal::Benchmark* of) {
    for (const auto& [rows, cols] : {std::pair{65536, 10}, {65536, 400}, {32768, 1000}, {4096, 32000}, {1024, 128256}, {1, 1000}})
        of->Args({rows, cols, 1});
    of->ArgNames({"rows", "cols", "flush"})->UseManualTime();
}

BENCHMARK(loss<float>)->Apply(shapes);
BENCHMARK(loss<car::bfloat16>)->Apply(shapes);
BENCHMARK(loss<float>)->Name("answer")->Args({3, 400, 0})->Iterations(1)->UseManualTime();

} // namespace

BENCHMARK_MAIN();
