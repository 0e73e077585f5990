// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // executors
#include "group.hpp"         // group_rows

#include <algorithm> // std::min

namespace car::inline CAR_ABI::kernel::simd_row {

/// The executor of a call that has none.
struct in_order {
    template <class Task>
    void operator()(std::ptrdiff_t count, Task&& task) const {
        for (std::ptrdiff_t i = 0; i != count; ++i) task(i);
    }
};
inline constexpr in_order alone{};

/// A call with fewer numbers is over before another thread has woken.
inline constexpr std::ptrdiff_t least_shared = 1 << 16;

/// Rows as a few blocks of whole groups, which depend on the number of rows alone.
class row_blocks {
    std::ptrdiff_t rows_, groups_of_each_, count_;

  public:
    static constexpr std::ptrdiff_t most = 64;

    explicit row_blocks(std::ptrdiff_t rows) : rows_(rows) {
        const std::ptrdiff_t groups = (rows + group_rows - 1) / group_rows;
        groups_of_each_ = (groups + most - 1) / most;
        count_ = groups == 0 ? 0 : (groups + groups_of_each_ - 1) / groups_of_each_;
    }
    std::ptrdiff_t count() const { return count_; }
    std::ptrdiff_t begin(std::ptrdiff_t block) const { return block * groups_of_each_ * group_rows; }
    std::ptrdiff_t end(std::ptrdiff_t block) const { return std::min(begin(block + 1), rows_); }

    /// Calls `task(block)` for each, on the executor's threads where the rows have numbers enough.
    template <class Executor, class Task>
    void for_each(const Executor& run, std::ptrdiff_t numbers, Task task) const {
        if (numbers < least_shared)
            alone(count_, task);
        else
            run(count_, task);
    }
};

} // namespace car::inline CAR_ABI::kernel::simd_row
