// SPDX-License-Identifier: Apache-2.0
// Faults planted in kernels: each is reported with its kind, its kernel and its line, which a comment names; its twin, right but for
// that line, is not.
#include "support/ptx/machine.hpp"

#include <cuda_runtime.h>

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

namespace {

constexpr int threads = 64;

__device__ unsigned char* dynamic() {
    extern __shared__ __align__(16) unsigned char bytes[];
    return bytes;
}

template <bool fault>
__global__ void race_read_write(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = 0;
    __syncthreads();
    s[threadIdx.x] = x[threadIdx.x]; // fault: race_read_write
    if (!fault) __syncthreads();
    x[threadIdx.x] = s[threads - 1 - threadIdx.x]; // fault: race_read_write
}

template <bool fault>
__global__ void race_write_read(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    const float left = s[(threadIdx.x + 1) % threads];
    if (!fault) __syncthreads();
    s[threadIdx.x] = left; // fault: race_write_read
    x[threadIdx.x] = s[threadIdx.x];
}

template <bool fault>
__global__ void race_write_write(float* x) {
    __shared__ float s[threads];
    s[fault ? threadIdx.x / 2 : threadIdx.x] = x[threadIdx.x]; // fault: race_write_write
    __syncthreads();
    x[threadIdx.x] = s[threadIdx.x / 2];
}

template <bool fault>
__global__ void race_in_warp(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = x[threadIdx.x];
    if (!fault) __syncwarp();
    x[threadIdx.x] = s[threadIdx.x ^ 1]; // fault: race_in_warp
}

template <bool fault>
__global__ void race_in_half_warp(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp(threadIdx.x & 16 ? 0xffff0000u : 0x0000ffffu);
    x[threadIdx.x] = s[threadIdx.x ^ (fault ? 16 : 1)]; // fault: race_in_half_warp
}

// In place, a lane overwrites what another still reads.
template <bool fault>
__global__ void race_in_place(float* x) {
    const float at_label = x[threadIdx.x / 32 * 32 + 5];
    if (!fault) __syncwarp();
    x[threadIdx.x] = at_label; // fault: race_in_place
}

__device__ unsigned ticket;

template <bool fault>
__global__ void race_between_blocks(float* x) {
    if (threadIdx.x == 0) {
        x[blockIdx.x] = 1;
        if (!fault) __threadfence();
        if (atomicAdd(&ticket, 1) == gridDim.x - 1) {
            float sum = 0;
            for (unsigned k = 0; k != gridDim.x; ++k) sum += x[k]; // fault: race_between_blocks
            x[threads - 1] = sum;
            ticket = 0;
        }
    }
}

template <bool fault>
__global__ void barrier_in_branch(float* x) {
    if (!fault || threadIdx.x < 16) __syncthreads(); // fault: barrier_in_branch
    x[threadIdx.x] = 1;
}

template <bool fault>
__global__ void exit_before_barrier(float* x) {
    if (fault && threadIdx.x >= 32) return;
    __syncthreads(); // fault: exit_before_barrier
    x[threadIdx.x] = 1;
}

template <bool fault>
__global__ void mask_of_others(float* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(fault ? 0xffffffffu : 0xffffu, x[threadIdx.x], 1); // fault: mask_of_others
    if (threadIdx.x >= 16) x[threadIdx.x] = __shfl_down_sync(0xffffffffu << (threadIdx.x < 32 ? 16 : 0), x[threadIdx.x], 1);
}

template <bool fault>
__global__ void lane_not_in_mask(float* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], fault ? 16 : 1); // fault: lane_not_in_mask
}

template <bool fault>
__global__ void not_in_own_mask(float* x) {
    const unsigned mask = fault ? 0xfffffffeu : 0xffffffffu;
    x[threadIdx.x] += __any_sync(mask, x[threadIdx.x] > 0) ? 1 : 0; // fault: not_in_own_mask
}

template <bool fault>
__global__ void read_beyond(float* x) {
    if (x[threadIdx.x + (fault ? 1 : 0)] == 7) x[threadIdx.x] = 0; // fault: read_beyond
}

template <bool fault>
__global__ void write_beyond(float* x) {
    x[static_cast<int>(threadIdx.x) - (fault ? 1 : 0)] = 1; // fault: write_beyond
}

template <bool fault>
__global__ void shared_beyond(float* x) {
    auto* s = reinterpret_cast<float*>(dynamic());
    s[threadIdx.x + (fault ? 1 : 0)] = x[threadIdx.x]; // fault: shared_beyond
    x[threadIdx.x] = 0;
}

template <bool fault>
__global__ void misaligned(float* x) {
    const auto v = *reinterpret_cast<const float4*>(x + (fault ? 1 : 4)); // fault: misaligned
    if (threadIdx.x == 0) x[0] = v.x + v.y + v.z + v.w;
}

template <bool fault>
__global__ void freed(float* x) {
    x[threadIdx.x] = 1; // fault: freed
}

template <bool fault>
__global__ void undefined_shared(float* x) {
    auto* s = reinterpret_cast<float*>(dynamic());
    if (!fault || blockIdx.x == 0) s[threadIdx.x] = 1;    // the memory that the other block had
    if (blockIdx.x == 1) x[threadIdx.x] = s[threadIdx.x]; // fault: undefined_shared
}

template <bool fault>
__global__ void undefined_device(float* x) {
    x[threadIdx.x] += 1; // fault: undefined_device
}

template <bool fault>
__global__ void host_pointer(float* x) {
    x[threadIdx.x] = 1; // fault: host_pointer
}

template <bool fault>
__global__ void overflow(unsigned char* x, int row, int columns) {
    const auto at = fault ? static_cast<std::int64_t>(row * columns) : std::int64_t{row} * columns;
    x[at] = 1; // fault: overflow
}

template <bool fault>
__global__ void no_instruction(float* x) {
    if (!fault) return;
    x[threadIdx.x] = static_cast<float>(clock64()); // fault: no_instruction
}

template <bool fault>
__global__ void __launch_bounds__(128) fine(float* x) { // fault: launch
    if (threadIdx.x < threads) x[threadIdx.x] = 1;
}

// ---- clusters

__device__ unsigned rank_in_cluster() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
__device__ void arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ void wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ unsigned there(const float* local, unsigned rank) {
    unsigned address;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(address)
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(local))), "r"(rank));
    return address;
}
__device__ float load(unsigned address) {
    float v;
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v) : "r"(address));
    return v;
}

template <bool fault>
__global__ void cluster_rank(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = x[threadIdx.x];
    arrive();
    wait();
    const unsigned other = there(s + threadIdx.x, rank_in_cluster() ^ (fault ? 2 : 1)); // fault: cluster_rank
    const float got = load(other);
    arrive();
    wait();
    if (rank_in_cluster() == 0) x[threadIdx.x] = got;
}

template <bool fault>
__global__ void cluster_race(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = 0;
    arrive();
    wait();
    s[threadIdx.x] = x[threadIdx.x]; // fault: cluster_race
    arrive();
    if (!fault) wait();
    const float got = load(there(s + threadIdx.x, rank_in_cluster() ^ 1)); // fault: cluster_race
    if (fault) wait();
    arrive();
    wait();
    if (rank_in_cluster() == 0) x[threadIdx.x] = got;
}

template <bool fault>
__global__ void cluster_ended(float* x) {
    __shared__ float s[threads];
    s[threadIdx.x] = 1;
    arrive();
    wait();
    if (rank_in_cluster() == 0) {
        for (int k = 0; k != 3; ++k) __syncthreads();
        s[threadIdx.x] += load(there(s + threadIdx.x, 1)); // fault: cluster_ended
    }
    if (!fault) arrive();
    if (!fault) wait();
    if (rank_in_cluster() == 0) x[threadIdx.x] = s[threadIdx.x];
}

template <bool fault>
__global__ void cluster_waits_alone(float* x) {
    if (!fault || rank_in_cluster() == 0) arrive();
    wait(); // fault: cluster_waits_alone
    if (rank_in_cluster() == 0) x[threadIdx.x] = 1;
}

// ---- what the tests ask

/// Whether this line of the file has `// fault: name` behind it.
bool is_marked(unsigned wanted, const std::string& name) {
    std::ifstream in(__FILE__);
    std::string line;
    for (unsigned number = 0; number != wanted && std::getline(in, line);) ++number;
    return line.ends_with("// fault: " + name);
}

void check_clean() {
    const auto reports = ptx::take_reports();
    for (const ptx::report& r : reports) INFO(r.text);
    CHECK(reports.empty());
    CHECK(cudaGetLastError() == cudaSuccess);
}

void check_reported(ptx::kind what, const std::string& name, const std::string& line) {
    CHECK(cudaGetLastError() != cudaSuccess);
    const auto reports = ptx::take_reports();
    REQUIRE(reports.size() == 1);
    const ptx::report& r = reports[0];
    INFO(r.text);
    CHECK(ptx::name(r.what) == std::string(ptx::name(what)));
    CHECK(r.kernel.find(name) != std::string::npos);
    CHECK((is_marked(r.line, line) || is_marked(r.outer_line, line)));
}

struct array {
    float* data = nullptr;
    explicit array(bool defined = true) {
        cudaMalloc(&data, threads * sizeof(float));
        const std::vector<float> ones(threads, 1.f);
        if (defined) cudaMemcpy(data, ones.data(), threads * sizeof(float), cudaMemcpyHostToDevice);
    }
    ~array() { cudaFree(data); }
};

template <class Run>
void check_twins(ptx::kind what, const std::string& name, Run run) {
    {
        const array x;
        run(std::false_type(), x.data);
        cudaDeviceSynchronize();
        check_clean();
    }
    const array x;
    run(std::true_type(), x.data);
    cudaDeviceSynchronize();
    check_reported(what, name, name);
}

template <class Kernel>
void in_cluster(Kernel kernel, float* x, unsigned blocks = 2) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {blocks, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = 2;
    config.blockDim = threads;
    config.attrs = &attribute;
    config.numAttrs = 1;
    cudaLaunchKernelEx(&config, kernel, x);
}

} // namespace

#define TWINS(what, name, grid, shared)                                                                                                    \
    TEST_CASE(#name) {                                                                                                                     \
        check_twins(ptx::kind::what, #name, [](auto fault, float* x) { name<fault.value><<<grid, threads, shared>>>(x); });                \
    }
TWINS(race, race_read_write, 1, 0)
TWINS(race, race_write_read, 1, 0)
TWINS(race, race_write_write, 1, 0)
TWINS(race, race_in_warp, 1, 0)
TWINS(race, race_in_half_warp, 1, 0)
TWINS(race, race_in_place, 1, 0)
TWINS(race, race_between_blocks, 3, 0)
TWINS(divergence, barrier_in_branch, 1, 0)
TWINS(divergence, exit_before_barrier, 1, 0)
TWINS(divergence, mask_of_others, 1, 0)
TWINS(shuffle, lane_not_in_mask, 1, 0)
TWINS(shuffle, not_in_own_mask, 1, 0)
TWINS(out_of_bounds, read_beyond, 1, 0)
TWINS(out_of_bounds, write_beyond, 1, 0)
TWINS(out_of_bounds, shared_beyond, 1, threads * sizeof(float))
TWINS(misaligned, misaligned, 1, 0)
TWINS(undefined, undefined_shared, 2, threads * sizeof(float))
TWINS(unsupported, no_instruction, 1, 0)
#undef TWINS

#define TWINS_OF_A_CLUSTER(what, name)                                                                                                     \
    TEST_CASE(#name) {                                                                                                                     \
        check_twins(ptx::kind::what, #name, [](auto fault, float* x) { in_cluster(name<fault.value>, x); });                               \
    }
TWINS_OF_A_CLUSTER(cluster, cluster_rank)
TWINS_OF_A_CLUSTER(race, cluster_race)
TWINS_OF_A_CLUSTER(cluster, cluster_ended)
TWINS_OF_A_CLUSTER(divergence, cluster_waits_alone)
#undef TWINS_OF_A_CLUSTER

TEST_CASE("memory that was freed, undefined, or is the host's") {
    const array undefined(false), defined;
    undefined_device<false><<<1, threads>>>(defined.data);
    cudaDeviceSynchronize();
    check_clean();
    undefined_device<true><<<1, threads>>>(undefined.data);
    cudaDeviceSynchronize();
    check_reported(ptx::kind::undefined, "undefined_device", "undefined_device");

    float* x = nullptr;
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    cudaMallocAsync(&x, threads * sizeof(float), stream);
    freed<false><<<1, threads, 0, stream>>>(x);
    cudaFreeAsync(x, stream);
    cudaStreamSynchronize(stream);
    check_clean();
    freed<true><<<1, threads, 0, stream>>>(x);
    cudaStreamSynchronize(stream);
    check_reported(ptx::kind::freed, "freed", "freed");
    cudaStreamDestroy(stream);

    std::vector<float> host(threads);
    host_pointer<true><<<1, threads>>>(host.data());
    cudaDeviceSynchronize();
    check_reported(ptx::kind::host_pointer, "host_pointer", "host_pointer");
}

TEST_CASE("an index of 32 bits that wraps") {
    unsigned char* x = nullptr;
    cudaMalloc(&x, (std::size_t{1} << 32) + 64); // costs nothing: no page of it is touched but those that are written
    overflow<false><<<1, 1>>>(x, 1 << 16, 1 << 15);
    cudaDeviceSynchronize();
    check_clean();
    overflow<true><<<1, 1>>>(x, 3 << 14, 1 << 16);
    cudaDeviceSynchronize();
    check_reported(ptx::kind::overflow, "overflow", "overflow");
    cudaFree(x);
}

TEST_CASE("launches that no device takes") {
    const array x;
    fine<false><<<1, 128>>>(x.data);
    fine<false><<<1, 64, 48 * 1024>>>(x.data);
    cudaDeviceSynchronize();
    check_clean();
    fine<true><<<1, 129>>>(x.data);
    check_reported(ptx::kind::launch, "fine", "launch");
    fine<true><<<1, 2048>>>(x.data);
    check_reported(ptx::kind::launch, "fine", "launch");
    fine<true><<<0, 64>>>(x.data);
    check_reported(ptx::kind::launch, "fine", "launch");
    fine<true><<<1, 64, 48 * 1024 + 1>>>(x.data);
    check_reported(ptx::kind::launch, "fine", "launch");
    in_cluster(fine<true>, x.data, 3);
    check_reported(ptx::kind::launch, "fine", "launch");
    CHECK(cudaFuncSetAttribute(fine<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024) == cudaSuccess);
    CHECK(cudaFuncSetAttribute(fine<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1) == cudaErrorInvalidValue);
    fine<false><<<1, 64, 227 * 1024>>>(x.data);
    cudaGetLastError();
    cudaDeviceSynchronize();
    check_clean();
}

TEST_CASE("a host that does not wait") {
    const array x;
    float* host = nullptr;
    cudaMallocHost(&host, threads * sizeof(float));
    cudaMemcpyAsync(host, x.data, threads * sizeof(float), cudaMemcpyDeviceToHost);
    cudaStreamSynchronize(nullptr);
    CHECK(host[3] == 1);
    check_clean();
    cudaMemcpyAsync(host, x.data, threads * sizeof(float), cudaMemcpyDeviceToHost);
    CHECK(host[3] != 1); // not a number: the copy has yet to come
    cudaDeviceSynchronize();
    CHECK(host[3] == 1);
    auto reports = ptx::take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].what == ptx::kind::synchronisation);

    std::vector<float> pageable(threads);
    cudaMemcpyAsync(pageable.data(), x.data, threads * sizeof(float), cudaMemcpyDeviceToHost);
    CHECK(pageable[3] != pageable[3]);
    reports = ptx::take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].what == ptx::kind::synchronisation);
    cudaFreeHost(host);
    check_clean();
}

TEST_CASE("memory freed twice, or never") {
    float* x = nullptr;
    cudaMalloc(&x, 4);
    ptx::report_leaks();
    auto reports = ptx::take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].what == ptx::kind::leak);
    cudaFree(x);
    ptx::report_leaks();
    check_clean();
    cudaFree(x);
    reports = ptx::take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].what == ptx::kind::freed);
    cudaGetLastError();
}
