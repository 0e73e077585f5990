// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.cuh" // sums in two parts

#include <car/backend/cuda/plan.hpp> // most_threads

// The threads of a row, and what they find out together. Every reduction gives every thread the same bits: its tree depends on the
// number of threads alone. All threads of a warp take part in each, also those whose row is past the end.
namespace car::inline CAR_ABI::kernel::device_row {

/// The largest logit that was seen, its first column, and what is bad about the row: 1, a logit is +inf; 2 or 3, NaN.
template <class A>
struct peak {
    A value = -infinity<A>;
    int column = 0x7fffffff;
    int bad = 0;

    __device__ void add(A p, int k) {
        if (p > value) column = k;
        value = larger_or_nan(value, p);
    }
    /// After the last of a thread's logits.
    __device__ void close() {
        bad = value == infinity<A> ? 1 : value == value ? 0 : 2;
        if (bad != 0) value = 0;
    }
    __device__ void merge(const peak& other) {
        bad |= other.bad;
        if (other.value > value || (other.value == value && other.column < column)) {
            value = other.value;
            column = other.column;
        }
    }
};

template <class Value>
inline constexpr int words_of = static_cast<int>(sizeof(Value) / sizeof(int));

template <class Value>
__device__ __forceinline__ Value from_lane(const Value& value, int distance) {
    static_assert(sizeof(Value) % sizeof(int) == 0);
    Value other = value;
    auto* words = reinterpret_cast<int*>(&other);
#pragma unroll
    for (int word = 0; word != words_of<Value>; ++word) words[word] = __shfl_xor_sync(0xffffffffu, words[word], distance);
    return other;
}

template <class Value>
__device__ __forceinline__ void merge_lanes(Value& value, int lanes) {
#pragma unroll
    for (int distance = 16; distance != 0; distance /= 2)
        if (distance < lanes) value.merge(from_lane(value, distance));
}

/// Of all lanes of a warp: what two of them have alike is merged once.
template <class Value>
__device__ __forceinline__ void merge_warp(Value& value) {
    merge_lanes(value, 32);
}
/// The same of floats, through integers in their order: the warp has an instruction for those.
__device__ __forceinline__ void merge_warp(peak<float>& value) {
    const auto in_order = [](std::int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }; // its own inverse
    const int own = in_order(bits_of(add(value.value, 0.0f))), largest = __reduce_max_sync(0xffffffffu, own);
    value.column = __reduce_min_sync(0xffffffffu, own == largest ? value.column : 0x7fffffff);
    value.bad = static_cast<int>(__reduce_or_sync(0xffffffffu, static_cast<unsigned>(value.bad)));
    value.value = number_of_bits(in_order(largest));
}

/// `Threads` neighbours of a warp for each row, 1 to 32.
template <int Threads>
struct lanes {
    static constexpr int scratch_bytes = 0, most_threads = 128;

    __device__ explicit lanes(unsigned char*) {}
    __device__ int size() const { return Threads; }
    __device__ int rank() const { return static_cast<int>(threadIdx.x) % Threads; }
    __device__ std::int64_t row() const { return static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / Threads) + threadIdx.x / Threads; }
    __device__ bool leads() const { return rank() == 0; }
    /// Before what the threads of a row have read is written: a shuffle does not order memory.
    __device__ void settle() const { __syncwarp(); }

    template <class Value>
    __device__ void reduce(Value& value) {
        if constexpr (Threads == 32)
            merge_warp(value);
        else
            merge_lanes(value, Threads);
    }
    /// f(), which is the same for all threads of a row.
    template <class F>
    __device__ auto once(F f) const {
        return f();
    }
    /// Whether it is so for any row of this warp: then all of them take the same way.
    __device__ bool any(bool condition) const { return __any_sync(0xffffffffu, condition) != 0; }
};

/// A block for each row.
struct whole_block {
    static constexpr int slot = 64, scratch_bytes = 32 * slot, most_threads = device_row::most_threads;
    unsigned char* scratch;

    __device__ explicit whole_block(unsigned char* shared) : scratch(shared) {}
    __device__ int size() const { return static_cast<int>(blockDim.x); }
    __device__ int rank() const { return static_cast<int>(threadIdx.x); }
    __device__ std::int64_t row() const { return blockIdx.x; }
    __device__ bool leads() const { return threadIdx.x == 0; }
    __device__ void settle() const {} // every reduction has a barrier

    template <class Value>
    __device__ void reduce(Value& value) {
        static_assert(sizeof(Value) <= slot);
        __syncwarp(); // after loops of different lengths
        merge_warp(value);
        auto* parts = reinterpret_cast<Value*>(scratch);
        const int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
        __syncthreads(); // the last reduction has been read
        if (lane == 0) parts[threadIdx.x / 32] = value;
        __syncthreads();
        int lanes = 1;
        while (lanes < warps) lanes *= 2;
        value = lane % lanes < warps ? parts[lane % lanes] : Value{};
        merge_lanes(value, lanes);
    }
    /// f(), which is the same for all threads of a row: one warp finds it for all.
    template <class F>
    __device__ auto once(F f) const {
        using Value = decltype(f());
        static_assert(sizeof(Value) <= 32 * slot);
        auto* const place = reinterpret_cast<Value*>(scratch);
        __syncthreads(); // the last reduction has been read
        if (threadIdx.x < 32) {
            const Value found = f();
            if (threadIdx.x == 0) *place = found;
        }
        __syncthreads();
        return *place;
    }
    __device__ bool any(bool condition) const { return condition; } // which is the same for all threads of a row
};

/// This block's place in its cluster, and how many it has. Only kernels for 9.0 and later are launched with clusters.
__device__ __forceinline__ unsigned cluster_rank() {
    unsigned rank = 0;
#if __CUDA_ARCH__ >= 900
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
    return rank;
}
__device__ __forceinline__ unsigned cluster_size() {
    unsigned size = 1;
#if __CUDA_ARCH__ >= 900
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
#endif
    return size;
}
__device__ __forceinline__ void sync_cluster() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
/// A word of another block's shared memory, at the place of `own` in this block's.
__device__ __forceinline__ int word_of_block([[maybe_unused]] const int* own, [[maybe_unused]] unsigned block) {
    int word = 0;
#if __CUDA_ARCH__ >= 900
    unsigned there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(there)
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(own))), "r"(block));
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(word) : "r"(there) : "memory");
#endif
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

} // namespace car::inline CAR_ABI::kernel::device_row
