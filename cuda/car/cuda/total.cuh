// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.cuh"     // rows of a call
#include "functions.cuh" // quotient
#include "launch.cuh"    // launched

// The result of a call from the figures of its rows: a block adds a chunk of rows to a part, then a block adds the parts. The order of
// every sum depends on the number of rows alone.
namespace car::inline CAR_ABI::kernel::device_row {

inline constexpr int total_threads = 256;

/// A sum that may be infinite: then it has no remainder.
struct any_sum : split<double> {
    __device__ void add_term(double x) {
        const split<double> sum = two_sum(high, x);
        high = sum.high;
        low = magnitude(high) < infinity<double> ? low + sum.low : 0;
    }
    __device__ void merge(const any_sum& other) {
        add_term(other.high);
        low += other.low;
    }
};

/// What rows amount to: sums, and counts.
struct row_sums {
    any_sum weight, cross_entropy, divergence, z_loss;

    __device__ void merge(const row_sums& other) {
        weight.merge(other.weight);
        cross_entropy.merge(other.cross_entropy);
        divergence.merge(other.divergence);
        z_loss.merge(other.z_loss);
    }
};
struct row_counts {
    std::int64_t rows = 0, correct = 0, faults = 0, first = 0x7fffffffffffffff;
    std::int64_t what = 0;

    __device__ void merge(const row_counts& other) {
        rows += other.rows;
        correct += other.correct;
        faults += other.faults;
        if (other.first < first) first = other.first, what = other.what;
    }
};
struct totals {
    row_sums sums;
    row_counts counts;
};
static_assert(sizeof(totals) <= part_bytes && sizeof(loss_result) <= part_bytes);

/// What becomes of the totals of all rows.
struct finishing {
    loss_result* result;
    double divisor, alpha, z_weight; ///< divisor: 0 where it is the sum of the weights
    enum reduction reduction;
    enum empty empty;

    __device__ void operator()(const totals& all) const {
        loss_result r;
        r.weight = all.sums.weight.value();
        r.count = all.counts.rows;
        r.correct = all.counts.correct;
        if (all.counts.faults != 0)
            r.status = {static_cast<fault>(all.counts.what), static_cast<std::ptrdiff_t>(all.counts.first), all.counts.faults};
        const bool no_row = r.count == 0 && reduction == reduction::mean && divisor == 0;
        if (reduction == reduction::none || (no_row && empty == empty::nan)) {
            r.value = r.cross_entropy = r.divergence = r.z_loss = no_number<double>;
        } else if (!no_row) {
            const double by = reduction != reduction::mean ? 1 : divisor != 0 ? divisor : r.weight;
            r.cross_entropy = quotient(all.sums.cross_entropy.value(), by);
            r.divergence = quotient(all.sums.divergence.value(), by);
            r.z_loss = quotient(all.sums.z_loss.value(), by);
            r.value = r.cross_entropy;
            if (alpha != 0) r.value += alpha * r.divergence;
            if (z_weight != 0) r.value += z_weight * r.z_loss;
        }
        *result = r;
    }
};

/// Merges what all threads of a block have; thread 0 writes it to its part, or finishes where there is one block.
__device__ inline void conclude(whole_block group, totals& own, totals* parts, const finishing& finish) {
    group.reduce(own.sums);
    group.reduce(own.counts);
    if (threadIdx.x != 0) return;
    if (gridDim.x == 1)
        finish(own);
    else
        parts[blockIdx.x] = own;
}

/// Adds a chunk of rows in each block; their figures where there are some, else only their weights.
template <class T>
__global__ void __launch_bounds__(total_threads)
    add_rows(const batch<T> call, std::int64_t rows, std::int64_t cols, totals* parts, const finishing finish) {
    __shared__ alignas(16) unsigned char scratch[whole_block::scratch_bytes];
    totals own;
    const std::int64_t begin = blockIdx.x * static_cast<std::int64_t>(chunk), end = begin + chunk < rows ? begin + chunk : rows;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += total_threads) {
        const std::int64_t label = call.label(i);
        const double weight = call.weight(i, label, label >= 0 && label < cols);
        const row_figures row = call.figures ? call.figures[i] : row_figures{};
        if (weight != 0) {
            own.sums.weight.add_term(weight);
            own.sums.cross_entropy.add_term(weight * row.cross_entropy);
            own.sums.divergence.add_term(weight * row.divergence);
            own.sums.z_loss.add_term(weight * row.log_sum * row.log_sum);
        }
        own.counts.merge({weight != 0, row.correct, row.what != 0, row.what != 0 ? i : own.counts.first, row.what});
    }
    conclude(whole_block(scratch), own, parts, finish);
}

/// Adds the parts, in one block.
template <class T>
__global__ void __launch_bounds__(total_threads) add_parts(const totals* parts, std::int64_t count, const finishing finish) {
    __shared__ alignas(16) unsigned char scratch[whole_block::scratch_bytes];
    totals own;
    for (std::int64_t i = threadIdx.x; i < count; i += total_threads) {
        own.sums.merge(parts[i].sums);
        own.counts.merge(parts[i].counts);
    }
    conclude(whole_block(scratch), own, nullptr, finish);
}

template <class T>
launch_status total(const batch<T>& call, std::int64_t rows, std::int64_t cols, totals* parts, const finishing& finish,
                    cudaStream_t stream) {
    const std::int64_t blocks = rows == 0 ? 1 : chunks(rows);
    add_rows<T><<<static_cast<unsigned>(blocks), total_threads, 0, stream>>>(call, rows, cols, parts, finish);
    launch_status status = launched("total");
    if (blocks == 1 || !status.ok()) return status;
    add_parts<T><<<1, total_threads, 0, stream>>>(parts, blocks, finish);
    return launched("total");
}

} // namespace car::inline CAR_ABI::kernel::device_row
