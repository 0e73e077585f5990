// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/batch.hpp" // the rows of a call
#include "group.hpp"           // settings, wanted_row
#include "transpose.hpp"       // rows and columns

#include <algorithm> // std::min
#include <cstddef>   // std::ptrdiff_t

// Matrices that lie column after column. Read a row at a time, each of their cache lines would be fetched for every row that it has a
// number of. So a few rows are copied out together, and their gradients are copied back, which have taken the copies' places.
namespace car::inline CAR_ABI::kernel::simd_row {

/// Room for copies of a few rows.
template <class T>
class row_copies {
    static constexpr std::ptrdiff_t room = 32768 / sizeof(T), line = 64 / sizeof(T);
    alignas(64) T p_[room], c_[room];

    /// Numbers from one copy to the next: whole lines, and one more, so that they do not lie a power of two apart.
    static std::ptrdiff_t step(std::ptrdiff_t classes) { return (classes + line - 1) / line * line + line; }
    static std::ptrdiff_t rows_at_once(std::ptrdiff_t classes) { return std::min(room / step(classes), group_rows); }

  public:
    /// Do all matrices of the call lie column after column, and is there room for more than one row?
    static bool suit(const scalar_row::batch<T>& rows) {
        const auto lies_in_columns = [](const auto& m) { return !m || (m.row_stride == 1 && m.col_stride > 1); };
        return rows.classes() > tile_classes && rows.classes() < room && rows_at_once(rows.classes()) > 1 &&
               rows.options.gradients == gradients::overwrite && lies_in_columns(rows.p) && lies_in_columns(rows.c) &&
               lies_in_columns(rows.arrays.grad_p) && lies_in_columns(rows.arrays.grad_c);
    }

    /// `run` on copies of the rows of a group that `wanted` has a bit for. A bit of the result for each that is solved.
    template <class Run>
    [[gnu::noinline]] static unsigned solve(const scalar_row::batch<T>& rows, settings how, const wanted_row* list, unsigned wanted,
                                            Run run) {
        row_copies copies;
        how.past_the_cache = false;
        unsigned solved = 0;
        while (wanted != 0) {
            const int first = __builtin_ctz(wanted), end = 32 - __builtin_clz(wanted);
            const int count = std::min(end - first, static_cast<int>(rows_at_once(rows.classes())));
            const unsigned here = wanted & ((1u << count) - 1) << first;
            solved |= copies.solve_some(rows, how, list, first, count, here, run);
            wanted &= ~here;
        }
        return solved;
    }

  private:
    template <class Run>
    unsigned solve_some(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, int first, int count,
                        unsigned wanted, Run run) {
        const std::ptrdiff_t classes = rows.classes(), apart = step(classes), top = list[first].row;
        const matrix_view<T> p(p_, count, classes, apart), c(c_, count, classes, apart);
        transpose(&rows.p(top, 0), rows.p.col_stride, p_, apart, count, classes);
        if (how.reads_c) transpose(&rows.c(top, 0), rows.c.col_stride, c_, apart, count, classes);
        wanted_row copied[group_rows];
        for (unsigned left = wanted; left != 0; left &= left - 1) {
            const int i = __builtin_ctz(left);
            copied[i] = {i - first, list[i].label, list[i].factor};
        }
        loss_arrays<T> arrays = rows.arrays;
        if (arrays.grad_p) arrays.grad_p = p;
        if (arrays.grad_c) arrays.grad_c = c;
        const matrix_view<const T> read_p = p, read_c = c;
        const unsigned solved = run(scalar_row::batch<T>{read_p, read_c, rows.labels, rows.options, arrays}, how, copied, wanted);
        for (unsigned left = solved; left != 0;) { // rows side by side together
            const int i = __builtin_ctz(left), many = __builtin_ctz(~(left >> i));
            const auto put_back = [&](const matrix_view<T>& from, const matrix_view<T>& to) {
                if (to) transpose(&from(i - first, 0), apart, &to(list[i].row, 0), to.col_stride, classes, many);
            };
            put_back(p, rows.arrays.grad_p);
            put_back(c, rows.arrays.grad_c);
            left &= ~(((1u << many) - 1) << i);
        }
        return solved;
    }
};

} // namespace car::inline CAR_ABI::kernel::simd_row
