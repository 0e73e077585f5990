// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launch.cuh" // rows on a device

// Rows that have several blocks each, on devices of 9.0 and later.
namespace car::inline CAR_ABI::kernel::device_row {

/// This block's place in its cluster, and how many it has.
__device__ __forceinline__ unsigned cluster_rank() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
__device__ __forceinline__ unsigned cluster_size() {
    unsigned size;
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
    return size;
}
__device__ __forceinline__ void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// A word of another block's shared memory, at the place of `own` in this block's.
__device__ __forceinline__ int word_of_block(const int* own, unsigned block) {
    unsigned there;
    int word;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(there)
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(own))), "r"(block));
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(word) : "r"(there) : "memory");
    return word;
}

/// A cluster of blocks for each row.
struct whole_cluster : whole_block {
    static constexpr int scratch_bytes = whole_block::scratch_bytes + whole_block::slot;

    using whole_block::whole_block;
    __device__ int size() const { return static_cast<int>(blockDim.x * cluster_size()); }
    __device__ int rank() const { return static_cast<int>(blockDim.x * cluster_rank() + threadIdx.x); }
    __device__ std::int64_t row() const { return blockIdx.x / cluster_size(); }
    __device__ bool leads() const { return rank() == 0; }
    __device__ whole_cluster rarely() const { return *this; }

    template <class Value>
    __device__ void reduce(Value& value) {
        whole_block::reduce(value);
        auto* const own = reinterpret_cast<Value*>(scratch + whole_block::scratch_bytes);
        if (threadIdx.x == 0) *own = value;
        sync_cluster();
        value = Value{};
        for (unsigned block = 0; block != cluster_size(); ++block) {
            Value other = value;
#pragma unroll
            for (int word = 0; word != words_of<Value>; ++word)
                reinterpret_cast<int*>(&other)[word] = word_of_block(reinterpret_cast<const int*>(own) + word, block);
            value.merge(other);
        }
        sync_cluster(); // nobody writes there again, and nobody leaves, before all have read
    }
};

template <class Operation>
launch_status run_in_cluster(const Operation& operation, const plan& how, cudaStream_t stream, const char* name) {
    using T = typename Operation::storage;
    return run<shared_row<T, vector_of(sizeof(T))>, whole_cluster>(operation, how, stream, name);
}

} // namespace car::inline CAR_ABI::kernel::device_row
