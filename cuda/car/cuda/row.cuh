// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "access.cuh" // the elements of a row

// Where a row of two matrices lives. `visit(f)` calls f(column, p, c) for each element of this thread; `write(f)` stores what
// f(column, p, c) gives, a pair, to two matrices of which either may be missing. A row is read from memory before it is written: the
// outputs may lie where the inputs do.
namespace car::inline CAR_ABI::kernel::device_row {

/// In memory, read again in every pass.
template <class T, int Vector>
struct streamed_row : row_base<T, Vector>, recomputed<streamed_row<T, Vector>> {
    template <class Operation, class Group>
    __device__ streamed_row(const Operation& operation, const Group& group, std::int64_t i, bool inside, unsigned char*)
        : row_base<T, Vector>(operation, group, i, inside) {}
    /// A row that lives elsewhere, and has not been written.
    template <int Other>
    __device__ explicit streamed_row(const row_base<T, Other>& row) : row_base<T, Vector>{row.at, row.cols, row.rank, row.size} {}

    template <class F>
    __device__ void visit(F f) const {
#pragma unroll 1
        for (int k = this->rank * Vector; k < this->cols; k += this->size * Vector)
            visit_pack(k, this->factual(k), this->counterfactual(k), f);
    }
    template <class F>
    __device__ void write(F f) const {
#pragma unroll 1
        for (int k = this->rank * Vector; k < this->cols; k += this->size * Vector)
            write_pack(this->at, k, this->factual(k), this->counterfactual(k), f);
    }
};

/// Where rare rows are read from, in passes that are not worth the text of a common one: memory, element by element. Whose an element is
/// differs there: what writes such a row writes all of it there, the label's column too.
template <class T, int Vector>
__device__ streamed_row<T, 1> in_memory(const row_base<T, Vector>& row) {
    return streamed_row<T, 1>(row);
}

/// A row from the beginning, where it has not been solved.
template <class T, int Vector, class Operation, class Group>
__device__ streamed_row<T, 1> anew(const row_base<T, Vector>&, const Operation& operation, const Group& group, std::int64_t i,
                                   bool inside) {
    return {operation, group, i, inside, nullptr};
}

/// In registers: `Packs` accesses of each thread to each matrix. What is past the end is a masked class.
template <class T, int Vector, int Packs>
class register_row : public row_base<T, Vector> {
    using A = term_of<T>;

    pack<T, Vector> p_[Packs], c_[Packs];
    mutable weighed_column<A> weighed_[Packs * Vector];
    mutable element<A> bent_[Packs * Vector];

    __device__ int column(int i) const { return (i * this->size + this->rank) * Vector; }

  public:
    template <class Operation, class Group>
    __device__ register_row(const Operation& operation, const Group& group, std::int64_t i, bool inside, unsigned char*)
        : row_base<T, Vector>(operation, group, i, inside) {
#pragma unroll
        for (int j = 0; j != Packs; ++j) {
            const bool within = column(j) < this->cols;
            p_[j] = within ? this->factual(column(j)) : this->filled(narrow<T>(-infinity<term_of<T>>));
            c_[j] = within ? this->counterfactual(column(j)) : this->filled(T{});
        }
    }
    template <class F>
    __device__ void visit(F f) const {
#pragma unroll
        for (int j = 0; j != Packs; ++j) visit_pack(column(j), p_[j], c_[j], f);
    }
    template <class F>
    __device__ void write(F f) const {
#pragma unroll
        for (int j = 0; j != Packs; ++j)
            if (column(j) < this->cols) write_pack(this->at, column(j), p_[j], c_[j], f);
    }
    static constexpr int neighbours = Packs * Vector;
    static constexpr int most_threads = most_in_registers;

    // As recomputed, with what is found of a column kept.
    template <class Weigh, class F>
    __device__ void weighed(const Weigh& weigh, F f) const {
#pragma unroll
        for (int i = 0; i != neighbours; ++i) {
            const int j = i / Vector, v = i % Vector;
            f(column(j) + v, weighed_[i] = weigh(widen(p_[j].values[v]), widen(c_[j].values[v])));
        }
    }
    template <class Weigh, class Bend, class F>
    __device__ void bent(const Weigh&, const Bend& bend, F f) const {
#pragma unroll
        for (int i = 0; i != neighbours; ++i) f(weighed_[i], bent_[i] = bend(weighed_[i]));
    }
    template <class Weigh, class Bend, class F>
    __device__ void write_bent(const Weigh&, const Bend&, F f) const {
#pragma unroll
        for (int j = 0; j != Packs; ++j) {
            int i = j * Vector;
            const auto of_bent = [&](int, auto, auto) { return f(bent_[i++]); };
            if (column(j) < this->cols) write_pack(this->at, column(j), p_[j], c_[j], of_bent);
        }
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
