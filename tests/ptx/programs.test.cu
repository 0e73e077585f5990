// SPDX-License-Identifier: Apache-2.0
// What is more than one instruction: lanes, warps, blocks and clusters together, memory of every space, calls, streams and graphs; and
// what the machine counts.
#include "support/ptx/machine.hpp"

#include <cuda_runtime.h>

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace {

template <class T>
struct array {
    T* data = nullptr;
    std::size_t size;
    explicit array(std::size_t n, T value = T()) : size(n) {
        cudaMalloc(&data, n * sizeof(T));
        set(std::vector<T>(n, value));
    }
    array(const array&) = delete;
    ~array() { cudaFree(data); }
    void set(const std::vector<T>& from) { cudaMemcpy(data, from.data(), size * sizeof(T), cudaMemcpyHostToDevice); }
    std::vector<T> get() const {
        std::vector<T> to(size);
        CHECK(cudaMemcpy(to.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
        return to;
    }
};

std::vector<int> counted(std::size_t n) {
    std::vector<int> all(n);
    std::iota(all.begin(), all.end(), 0);
    return all;
}

// ---- lanes

__global__ void lanes(const int* in, int* out) {
    const int x = in[threadIdx.x], lane = static_cast<int>(threadIdx.x) % 32;
    int* const mine = out + threadIdx.x * 12;
    mine[0] = __shfl_sync(~0u, x, 5);
    mine[1] = __shfl_sync(~0u, x, lane + 3, 8);
    mine[2] = __shfl_up_sync(~0u, x, 2, 16);
    mine[3] = __shfl_down_sync(~0u, x, 3);
    mine[4] = __shfl_xor_sync(~0u, x, 9);
    mine[5] = static_cast<int>(__ballot_sync(~0u, x % 3 == 0));
    mine[6] = __all_sync(~0u, x >= 0) + 2 * __any_sync(~0u, x == 77) + 4 * __uni_sync(~0u, lane < 16);
    mine[7] = static_cast<int>(__reduce_add_sync(~0u, x));
    mine[8] = __reduce_min_sync(~0u, x - 50);
    mine[9] = static_cast<int>(__reduce_xor_sync(~0u, static_cast<unsigned>(x)));
    if (lane < 8)
        mine[10] = __shfl_xor_sync(0xffu, x, 1);
    else
        mine[10] = __shfl_up_sync(0xffffff00u, x, 0);
    mine[11] = static_cast<int>(__reduce_max_sync(lane < 16 ? 0xffffu : 0xffff0000u, x));
}

// ---- a block's sum, by shuffles and shared memory; with a tail that is no whole warp

__global__ void sum_of_block(const int* in, int* out, int count) {
    __shared__ int partial[32];
    int sum = 0;
    for (int k = static_cast<int>(threadIdx.x); k < count; k += static_cast<int>(blockDim.x)) sum += in[k];
    const unsigned live = blockDim.x - threadIdx.x / 32 * 32 >= 32 ? ~0u : (1u << blockDim.x % 32) - 1;
    sum = __reduce_add_sync(live, sum);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        int all = 0;
        for (unsigned w = 0; w != (blockDim.x + 31) / 32; ++w) all += partial[w];
        out[blockIdx.x] = all;
    }
}

// ---- a cluster's sum: every block reads what the others have

__global__ void sum_of_cluster(const int* in, int* out) {
    __shared__ int mine[64];
    unsigned rank, blocks, here, there;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
    for (int round = 0; round != 3; ++round) {
        mine[threadIdx.x] = in[blockIdx.x * 64 + threadIdx.x] + round;
        asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
        int sum = 0;
        here = static_cast<unsigned>(__cvta_generic_to_shared(mine + threadIdx.x));
        for (unsigned k = 0; k != blocks; ++k) {
            int value;
            asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"((rank + k) % blocks));
            asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(value) : "r"(there));
            sum += value;
        }
        asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
        out[blockIdx.x * 64 + threadIdx.x] = sum;
    }
}

// ---- the last block of a grid adds up

__device__ unsigned ticket;
__constant__ int table[4] = {3, 1, 4, 1};

__global__ void last_adds(const int* in, int* partial, int* out) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = in[blockIdx.x] * table[blockIdx.x % 4];
        __threadfence();
        is_last = atomicAdd(&ticket, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last || threadIdx.x != 0) return;
    __threadfence();
    int sum = 0;
    for (unsigned k = 0; k != gridDim.x; ++k) sum += partial[k];
    *out = sum;
    ticket = 0;
}

__global__ void first_come(int* order) { order[atomicAdd(&ticket, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

// ---- calls, branches by an index, a thread's own memory

__device__ __noinline__ double polynomial(double x, int degree, const double* c) {
    double y = 0;
    for (int k = degree; k >= 0; --k) y = y * x + c[k];
    return y;
}

__global__ void calls(double* out, const double* c) {
    double y = polynomial(threadIdx.x, 3, c);
    if (threadIdx.x % 2) y = polynomial(y, 1, c);
    out[threadIdx.x] = y;
}

__global__ void branches(int* out, const int* which) {
    int x = static_cast<int>(threadIdx.x);
    switch (which[threadIdx.x]) {
    case 0: x *= 3; break;
    case 1: x ^= 0x55; break;
    case 2: x = __clz(x); break;
    case 3: x = x * x - 7; break;
    case 4: x = -x; break;
    case 5: x = out[threadIdx.x] + x; break;
    case 6: x = x / 3; break;
    default: x = 1000;
    }
    out[threadIdx.x] = x;
}

__global__ void own_memory(int* out, int at) {
    int own[32];
    for (int k = 0; k != 32; ++k) own[k] = static_cast<int>(threadIdx.x) * k;
    own[(at + static_cast<int>(threadIdx.x)) % 32] = -1;
    int sum = 0;
    for (int k = 0; k != 32; ++k) sum += own[(k * at) % 32];
    out[threadIdx.x] = sum;
}

struct alignas(32) pack {
    float v[8];
};
__global__ void copy_packs(const pack* in, pack* out) {
    pack p = in[threadIdx.x];
    for (float& x : p.v) asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(x) : "f"(x));
    out[threadIdx.x] = p;
}

__global__ void increment(int* x) { x[threadIdx.x] += 1; }
__global__ void twice(int* x) { x[threadIdx.x] *= 2; }

void check_clean() {
    CHECK(cudaGetLastError() == cudaSuccess);
    for (const ptx::report& r : ptx::take_reports()) FAIL_CHECK(r.text);
}

template <class... Parameters, class... Arguments>
void launch_cluster(void (*kernel)(Parameters...), unsigned grid, unsigned cluster, Arguments... arguments) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {cluster, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = 64;
    config.attrs = &attribute;
    config.numAttrs = 1;
    CHECK(cudaLaunchKernelEx(&config, kernel, arguments...) == cudaSuccess);
}

} // namespace

TEST_CASE("what lanes do together") {
    array<int> in(64), out(64 * 12);
    in.set(counted(64));
    lanes<<<1, 64>>>(in.data, out.data);
    const std::vector<int> got = out.get();
    check_clean();
    for (int t = 0; t != 64; ++t) {
        const int lane = t % 32, warp = t - lane;
        const int* const mine = got.data() + t * 12;
        INFO(t);
        CHECK(mine[0] == warp + 5);
        CHECK(mine[1] == warp + lane / 8 * 8 + (lane + 3) % 8);
        CHECK(mine[2] == (lane % 16 >= 2 ? t - 2 : t));
        CHECK(mine[3] == (lane + 3 < 32 ? t + 3 : t));
        CHECK(mine[4] == warp + (lane ^ 9));
        unsigned ballot = 0;
        int sum = 0;
        unsigned differs = 0;
        for (int k = 0; k != 32; ++k) {
            ballot |= ((warp + k) % 3 == 0 ? 1u : 0u) << k;
            sum += warp + k;
            differs ^= static_cast<unsigned>(warp + k);
        }
        CHECK(mine[5] == static_cast<int>(ballot));
        CHECK(mine[6] == 1);
        CHECK(mine[7] == sum);
        CHECK(mine[8] == warp - 50);
        CHECK(mine[9] == static_cast<int>(differs));
        if (lane < 8) CHECK(mine[10] == (t ^ 1));
        CHECK(mine[11] == warp + (lane < 16 ? 15 : 31));
    }
}

TEST_CASE("a block's sum, of any number of threads") {
    for (const unsigned threads : {1u, 31u, 32u, 33u, 100u, 1024u}) {
        array<int> in(1000), out(2);
        in.set(counted(1000));
        sum_of_block<<<2, threads>>>(in.data, out.data, 1000);
        CHECK(out.get() == std::vector<int>{499500, 499500});
        check_clean();
    }
}

TEST_CASE("a cluster's sum") {
    for (const unsigned blocks : {1u, 2u, 8u}) {
        array<int> in(16 * 64), out(16 * 64);
        in.set(counted(16 * 64));
        launch_cluster(sum_of_cluster, 16, blocks, static_cast<const int*>(in.data), out.data);
        const std::vector<int> got = out.get();
        check_clean();
        for (unsigned k = 0; k != 16 * 64; ++k) {
            int wanted = 0;
            for (unsigned b = 0; b != blocks; ++b) wanted += static_cast<int>((k / 64 / blocks * blocks + b) * 64 + k % 64) + 2;
            CHECK(got[k] == wanted);
        }
    }
}

TEST_CASE("the last block adds up, in every order of the blocks") {
    array<int> in(40), partial(40), out(1);
    in.set(counted(40));
    const int digits[] = {3, 1, 4, 1};
    int wanted = 0;
    for (int k = 0; k != 40; ++k) wanted += k * digits[k % 4];
    for (const std::uint64_t seed : {0, 1, 2, 3}) {
        ptx::shuffle_order(seed);
        last_adds<<<40, 64>>>(in.data, partial.data, out.data);
        CHECK(out.get()[0] == wanted);
        check_clean();
    }
    ptx::shuffle_order(0);
}

TEST_CASE("the order of blocks, warps and lanes is what the seed says") {
    const auto order = [](std::uint64_t seed) {
        ptx::shuffle_order(seed);
        array<int> at(4 * 96, -1);
        unsigned* counter = nullptr;
        cudaGetSymbolAddress(reinterpret_cast<void**>(&counter), ticket);
        cudaMemset(counter, 0, sizeof *counter);
        first_come<<<4, 96>>>(at.data);
        const std::vector<int> got = at.get();
        cudaMemset(counter, 0, sizeof *counter);
        ptx::shuffle_order(0);
        return got;
    };
    if (!ptx::is_stand_in()) return;
    CHECK(order(0) == counted(4 * 96));
    CHECK(order(5) == order(5));
    CHECK(order(5) != order(6));
    CHECK(order(5) != order(0));
    check_clean();
}

TEST_CASE("calls and branches of part of a warp") {
    array<double> out(40), c(4);
    c.set({1, -2, 0.5, 3});
    calls<<<1, 40>>>(out.data, c.data);
    const std::vector<double> got = out.get();
    for (int t = 0; t != 40; ++t) {
        const double y = ((3.0 * t + 0.5) * t - 2) * t + 1;
        CHECK(got[static_cast<std::size_t>(t)] == (t % 2 ? 1 - 2 * y : y));
    }
    array<int> x(64, 10), which(64);
    std::vector<int> way(64);
    for (int k = 0; k != 64; ++k) way[static_cast<std::size_t>(k)] = k * 5 % 9;
    which.set(way);
    branches<<<1, 64>>>(x.data, which.data);
    const std::vector<int> went = x.get();
    for (int t = 0; t != 64; ++t) {
        const int ways[] = {t * 3, t ^ 0x55, t ? __builtin_clz(static_cast<unsigned>(t)) : 32, t * t - 7, -t, 10 + t, t / 3, 1000, 1000};
        CHECK(went[static_cast<std::size_t>(t)] == ways[t * 5 % 9]);
    }
    check_clean();
}

TEST_CASE("a thread's own memory") {
    array<int> out(64);
    own_memory<<<1, 64>>>(out.data, 3);
    const std::vector<int> got = out.get();
    for (int t = 0; t != 64; ++t) CHECK(got[static_cast<std::size_t>(t)] == t * (31 * 16 - (3 + t) % 32) - 1);
    check_clean();
}

TEST_CASE("wide accesses, on each device, and what is counted") {
    constexpr unsigned threads = 20; // no whole warp
    for (const int major : {9, 10}) {
        ptx::set_device({.major = major, .minor = 0});
        array<pack> in(threads, pack{{0, 1, 2, 3, 4, 5, 6, 7}}), out(threads);
        ptx::reset_counters();
        copy_packs<<<1, threads>>>(in.data, out.data);
        const std::vector<pack> got = out.get();
        for (const pack& p : got)
            for (int k = 0; k != 8; ++k) CHECK(p.v[k] == static_cast<float>(1 << k));
        if (!ptx::is_stand_in()) continue;
        const ptx::counts counts = ptx::counters();
        CHECK(counts.of("ex2") == threads * 8);
        CHECK(counts.loaded("global") == threads * sizeof(pack));
        CHECK(counts.stored("global") == threads * sizeof(pack));
        CHECK(counts.of("st") == (major == 10 ? threads : 2 * threads));
        CHECK(counts.instructions >= counts.of("ex2") + counts.of("ld") + counts.of("st"));
        ptx::reset_counters();
        CHECK(ptx::counters().instructions == 0);
    }
    ptx::set_device({});
    check_clean();
}

TEST_CASE("streams, events and graphs") {
    array<int> x(32);
    cudaStream_t first, second;
    cudaEvent_t done;
    cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    cudaEventCreate(&done);
    increment<<<1, 32, 0, first>>>(x.data);
    cudaEventRecord(done, first);
    cudaStreamWaitEvent(second, done);
    twice<<<1, 32, 0, second>>>(x.data);
    cudaStreamSynchronize(second);
    CHECK(x.get() == std::vector<int>(32, 2));

    cudaGraph_t graph;
    cudaGraphExec_t ready;
    cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal);
    increment<<<1, 32, 0, first>>>(x.data);
    twice<<<1, 32, 0, first>>>(x.data);
    cudaStreamEndCapture(first, &graph);
    cudaGraphInstantiate(&ready, graph, 0);
    CHECK(x.get() == std::vector<int>(32, 2)); // recorded, not done
    cudaGraphLaunch(ready, first);
    cudaGraphLaunch(ready, first);
    cudaStreamSynchronize(first);
    CHECK(x.get() == std::vector<int>(32, 14));
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
    cudaEventDestroy(done);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
    check_clean();
}

TEST_CASE("the default stream and the others wait for one another") {
    array<int> x(32);
    cudaStream_t other;
    cudaStreamCreate(&other);
    increment<<<1, 32, 0, other>>>(x.data);
    twice<<<1, 32>>>(x.data);
    increment<<<1, 32, 0, other>>>(x.data);
    cudaStreamSynchronize(other);
    CHECK(x.get() == std::vector<int>(32, 3));
    increment<<<1, 32, 0, other>>>(x.data);
    CHECK(x.get() == std::vector<int>(32, 4)); // copied in the default stream
    cudaStreamDestroy(other);
    check_clean();
}

TEST_CASE("errors are kept until they are asked for") {
    array<int> x(32);
    increment<<<1, 4096>>>(x.data);
    CHECK(cudaPeekAtLastError() == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaSuccess);
    ptx::take_reports();
    increment<<<1, 32>>>(x.data);
    CHECK(x.get() == std::vector<int>(32, 1));
    check_clean();
}
