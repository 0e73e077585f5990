// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../version.hpp" // CAR_ABI

#include <cstddef> // std::ptrdiff_t

// Which kernel a call runs on. Plain numbers go in and come out, so that every row length is tested without a device.
namespace car::inline CAR_ABI::kernel::device_row {

/// What a device has, as far as the choice depends on it.
struct capabilities {
    int major = 8;                 ///< of the compute capability
    int shared_per_block = 163840; ///< bytes, with opt-in
};

/// Where a row lives between its passes.
///
///     tiny       a thread for each row, the rows of a block side by side in shared memory
///     registers  8 or 32 threads for each row, or a block
///     shared     a block for each row, in its shared memory
///     cluster    a cluster of blocks for each row, a part in the shared memory of each
///     streamed   a block for each row, read again in every pass
enum class tier { tiny, registers, shared, cluster, streamed };

struct plan {
    enum tier tier = tier::streamed;
    int vector = 1;  ///< elements of one access
    int packs = 1;   ///< accesses to each input by each thread, in registers
    int group = 1;   ///< threads for each row (of one block)
    int block = 128; ///< threads of a block
    int cluster = 1; ///< blocks for each row
    int shared = 0;  ///< bytes of dynamic shared memory

    constexpr int rows_per_block() const { return block / group; }
    friend constexpr bool operator==(const plan&, const plan&) = default;
};

inline constexpr int most_threads = 512;      ///< of a block, for one row
inline constexpr int most_in_registers = 128; ///< of those, where the row is in registers
inline constexpr int most_with_options = 384; ///< of a block, where options are: 168 registers for each thread
inline constexpr int unasked = 47 * 1024;     ///< bytes of dynamic shared memory that a block has without opt-in
inline constexpr int scratch = 4 * 1024;      ///< bytes of shared memory that reductions use, and the system

/// Elements of one access to an aligned row: 16 bytes. Doubles go one by one: a warp's access is of whole lines even so, and kernels of
/// pairs would be as many again.
constexpr int vector_of(int width) { return width == 8 ? 1 : 16 / width; }

/// How many elements of a row a thread holds in registers. Accesses of one element are slow enough without more of them.
constexpr int elements_of(int width, int vector) { return width == 8 || vector == 1 ? 8 : 16; }

/// `contiguous`: every matrix has its rows one after the other. `aligned`: every row of every matrix begins at a multiple of 16 bytes,
/// and has a length that is one.
constexpr plan choose(int width, std::ptrdiff_t cols, bool contiguous, bool aligned, const capabilities& device) {
    const int vector = aligned ? vector_of(width) : 1;
    // Below 16 columns, or where they are no multiple of 4, few threads meet in a bank.
    if (const std::ptrdiff_t bytes = 128 * cols * width * 2; contiguous && bytes <= unasked && (cols < 16 || (cols <= 32 && cols % 4 != 0)))
        return {tier::tiny, vector, 1, 1, 128, 1, static_cast<int>(bytes)};
    // As many threads as have `elements` each: a quarter of a warp, a warp, or the warps that it takes.
    const std::ptrdiff_t elements = elements_of(width, vector);
    const auto in_registers = [&](int group, int block) {
        return plan{tier::registers, vector, static_cast<int>(elements) / vector, group, block, 1, 0};
    };
    if (cols <= 8 * elements) return in_registers(8, 128);
    if (cols <= 32 * elements) return in_registers(32, 128);
    if (cols <= most_in_registers * elements) {
        const int threads = static_cast<int>((cols + 32 * elements - 1) / (32 * elements)) * 32;
        return in_registers(threads, threads);
    }
    // While one block reads, another computes: three rows' parts are to fit into a multiprocessor, or two, or one. What a thread does once
    // for its row is about what it does for 16 elements, so the threads are few.
    const int most_blocks = aligned && device.major >= 9 ? 8 : 1;
    for (int blocks = 1; blocks <= most_blocks; blocks *= 2)
        for (int threads = 128; threads <= (blocks == most_blocks ? most_threads : 128); threads *= 2) {
            const std::ptrdiff_t across = static_cast<std::ptrdiff_t>(blocks) * threads * vector;
            const std::ptrdiff_t bytes = (cols + across - 1) / across * threads * vector * width * 2;
            const int together = threads == 128 ? 3 : most_threads / threads;
            if (together * (bytes + scratch) <= device.shared_per_block)
                return {blocks == 1 ? tier::shared : tier::cluster, vector, 1, threads, threads, blocks, static_cast<int>(bytes)};
        }
    return {tier::streamed, vector, 1, most_threads, most_threads, 1, 0};
}

/// The same for an operation whose rows of every length are read again in every pass.
constexpr plan choose_streamed(std::ptrdiff_t cols) {
    const int group = cols <= 64 ? 8 : cols <= 1024 ? 32 : most_with_options;
    return {tier::streamed, 1, 1, group, group == most_with_options ? group : 128, 1, 0};
}

} // namespace car::inline CAR_ABI::kernel::device_row
