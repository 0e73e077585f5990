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
    __device__ bool is_number() const { return bad == 0 && column != 0x7fffffff; }
    __device__ void merge(const peak& other) {
        bad |= other.bad;
        if (other.value > value || (other.value == value && other.column < column)) {
            value = other.value;
            column = other.column;
        }
    }
};

/// Words of a value that are passed to other threads: all, unless it says otherwise.
template <class Value>
inline constexpr int words_of = [] {
    if constexpr (requires { Value::words; })
        return Value::words;
    else
        return static_cast<int>(sizeof(Value) / sizeof(int));
}();

template <class Value>
__device__ __forceinline__ Value from_lane(const Value& value, int distance) {
    static_assert(sizeof(Value) % sizeof(int) == 0);
    Value other = value;
    auto* words = reinterpret_cast<int*>(&other);
#pragma unroll
    for (int word = 0; word != words_of<Value>; ++word) words[word] = __shfl_xor_sync(0xffffffffu, words[word], distance);
    return other;
}

/// Unrolled is 1 where the text is to be short.
template <int Unrolled = 5, class Value>
__device__ __forceinline__ void merge_lanes(Value& value, int lanes) {
#pragma unroll Unrolled
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
    static constexpr int resident_threads = Threads == 8 ? 384 : 512; ///< that a multiprocessor has registers for, where rows are there

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
    /// The same threads for what is rarely found out.
    __device__ lanes rarely() const { return *this; }
    /// Whether it is so for any row of this warp: then all of them take the same way.
    __device__ bool any(bool condition) const { return __any_sync(0xffffffffu, condition) != 0; }
};

struct launched_threads;

/// A block for each row.
struct whole_block {
    static constexpr int slot = 64, scratch_bytes = 32 * slot, most_threads = device_row::most_threads, resident_threads = 512;
    unsigned char* scratch;

    __device__ explicit whole_block(unsigned char* shared) : scratch(shared) {}
    __device__ int size() const { return static_cast<int>(blockDim.x); }
    __device__ int rank() const { return static_cast<int>(threadIdx.x); }
    __device__ std::int64_t row() const { return blockIdx.x; }
    __device__ bool leads() const { return threadIdx.x == 0; }
    __device__ void settle() const {} // every reduction has a barrier

    template <class Value>
    __device__ void reduce(Value& value) {
        __syncwarp(); // after loops of different lengths
        merge_warp(value);
        merge_warps(value);
    }
    /// Of all warps, each with a value.
    template <int Unrolled = 5, class Value>
    __device__ void merge_warps(Value& value) {
        static_assert(sizeof(Value) <= slot);
        auto* parts = reinterpret_cast<Value*>(scratch);
        const int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
        __syncthreads(); // the last reduction has been read
        if (lane == 0) parts[threadIdx.x / 32] = value;
        __syncthreads();
        int lanes = 1;
        while (lanes < warps) lanes *= 2;
        value = lane % lanes < warps ? parts[lane % lanes] : Value{};
        merge_lanes<Unrolled>(value, lanes);
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
    __device__ inline launched_threads rarely() const;
    __device__ bool any(bool condition) const { return condition; } // which is the same for all threads of a row
};

/// As many threads for each row as the launch says, blockDim.x: 8 or 32 of a warp, or a block. Short text before fast: it is for options
/// and for rows that are rare, where other things take longer.
struct launched_threads : whole_block {
    static constexpr int most_threads = most_with_options;

    using whole_block::whole_block;
    __device__ std::int64_t row() const { return static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; }
    __device__ void settle() const { __syncwarp(); }

    template <class Value>
    __device__ void reduce(Value& value) {
        __syncwarp(); // after loops of different lengths
        merge_lanes<1>(value, size());
        if (size() > 32) merge_warps<1>(value);
    }
    template <class F>
    __device__ auto once(F f) const {
        return f();
    }
    __device__ bool any(bool condition) const { return __any_sync(0xffffffffu, condition) != 0; }
};
__device__ inline launched_threads whole_block::rarely() const { return launched_threads(scratch); }

} // namespace car::inline CAR_ABI::kernel::device_row
