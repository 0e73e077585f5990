// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "row.cuh" // where else rows live

#include <type_traits> // std::is_same_v

// Rows in shared memory: of a block or a cluster, and of a single thread.
namespace car::inline CAR_ABI::kernel::device_row {

/// In shared memory, where each thread finds again what it put there. Of floats, what a quick pass finds takes the place of p and c: a row
/// that is read afterwards is read from memory.
template <class T, int Vector>
class shared_row : public row_base<T, Vector>, recomputed<shared_row<T, Vector>> {
    using base = recomputed<shared_row<T, Vector>>;
    static constexpr bool has_room = std::is_same_v<T, float>;
    friend base;

    pack<T, Vector>* kept_; ///< p and c of this thread's packs by turns

    template <class F>
    __device__ void each(F f) const {
        pack<T, Vector>* at = kept_;
#pragma unroll 1
        for (int k = this->rank * Vector; k < this->cols; k += this->size * Vector, at += 2 * blockDim.x) f(k, at[0], at[blockDim.x]);
    }

  public:
    template <class Operation, class Group>
    __device__ shared_row(const Operation& operation, const Group& group, std::int64_t i, bool inside, unsigned char* shared)
        : row_base<T, Vector>(operation, group, i, inside), kept_(reinterpret_cast<pack<T, Vector>*>(shared) + threadIdx.x) {
        constexpr int at_once = 4; // accesses under way
        const int step = this->size * Vector;
        pack<T, Vector>* at = kept_;
#pragma unroll 1
        for (int k = this->rank * Vector; k < this->cols; k += at_once * step, at += at_once * 2 * blockDim.x) {
            pack<T, Vector> p[at_once], c[at_once];
#pragma unroll
            for (int j = 0; j != at_once; ++j)
                if (k + j * step < this->cols) {
                    p[j] = this->factual(k + j * step);
                    c[j] = this->counterfactual(k + j * step);
                }
#pragma unroll
            for (int j = 0; j != at_once; ++j)
                if (k + j * step < this->cols) {
                    at[j * 2 * blockDim.x] = p[j];
                    at[(j * 2 + 1) * blockDim.x] = c[j];
                }
        }
    }
    template <class F>
    __device__ void visit(F f) const {
        each([&](int k, pack<T, Vector> p, pack<T, Vector> c) { visit_pack(k, p, c, f); });
    }
    template <class F>
    __device__ void write(F f) const {
        each([&](int k, pack<T, Vector> p, pack<T, Vector> c) { write_pack(this->at, k, p, c, f); });
    }
    template <class Weigh, class F>
    __device__ void weighed(const Weigh& weigh, F f) const {
        if constexpr (!has_room)
            base::weighed(weigh, f);
        else
            each([&](int k, pack<T, Vector>& kept_p, pack<T, Vector>& kept_c) {
                pack<T, Vector> e = kept_p, c = kept_c;
#pragma unroll
                for (int j = 0; j != Vector; ++j) {
                    const auto found = weigh(e.values[j], c.values[j]);
                    e.values[j] = found.e;
                    c.values[j] = found.c;
                    f(k + j, found);
                }
                kept_p = e;
                kept_c = c;
            });
    }
    template <class Weigh, class Bend, class F>
    __device__ void bent(const Weigh& weigh, const Bend& bend, F f) const {
        if constexpr (!has_room)
            base::bent(weigh, bend, f);
        else
            visit([&](int, T e, T c) {
                const weighed_column<T> found{e, c};
                f(found, bend(found));
            });
    }
    template <class Weigh, class Bend, class F>
    __device__ void write_bent(const Weigh& weigh, const Bend& bend, F f) const {
        if constexpr (!has_room)
            base::write_bent(weigh, bend, f);
        else
            write([&](int, T e, T c) { return f(bend(weighed_column<T>{e, c})); });
    }
};

/// A thread's whole row in shared memory. The rows of a block lie one after the other, here as in memory: they come and go in accesses
/// of 16 bytes, whatever their length is.
template <class T>
class tiny_row : public row_base<T, 1>, public recomputed<tiny_row<T>> {
    static constexpr int vector = 16 / sizeof(T);
    row_pointers<T> block_; ///< of the block's first row
    T *p_, *c_;
    int elements_;

    static __device__ void copy(const T* from, T* to, int count) {
        const bool aligned = (reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to)) % 16 == 0;
        const int packs = aligned ? count / vector : 0, threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
        for (int k = thread; k < packs; k += threads) store(to, k * vector, load<T, vector>(from, k * vector));
        for (int k = packs * vector + thread; k < count; k += threads) to[k] = from[k];
    }
    __device__ T& own(T* all, int k) const { return all[static_cast<int>(threadIdx.x) * this->cols + k]; }

  public:
    template <class Operation, class Group>
    __device__ tiny_row(const Operation& operation, const Group& group, std::int64_t i, bool inside, unsigned char* shared)
        : row_base<T, 1>(operation, group, i, inside) {
        const std::int64_t first = i - threadIdx.x, left = operation.rows - first;
        elements_ = static_cast<int>((left < blockDim.x ? left : blockDim.x) * operation.cols);
        block_ = operation.row(first);
        p_ = reinterpret_cast<T*>(shared);
        c_ = p_ + blockDim.x * operation.cols;
        copy(block_.p, p_, elements_);
        if (block_.c) copy(block_.c, c_, elements_);
        __syncthreads();
    }
    template <class F>
    __device__ void visit(F f) const {
#pragma unroll 1
        for (int k = 0; k != this->cols; ++k) f(k, widen(own(p_, k)), this->at.c ? widen(own(c_, k)) : term_of<T>(0));
    }
    template <class F>
    __device__ void write(F f) const {
#pragma unroll 1
        for (int k = 0; k != this->cols; ++k) {
            const auto value = f(k, widen(own(p_, k)), this->at.c ? widen(own(c_, k)) : term_of<T>(0));
            own(p_, k) = narrow<T>(value.p);
            own(c_, k) = narrow<T>(value.c);
        }
    }
    __device__ bool owns(int) const { return true; }
    __device__ void put(int k, term_of<T> value) const { own(p_, k) = narrow<T>(value); }
    __device__ void flush() const {
        __syncthreads();
        if (block_.to_p) copy(p_, block_.to_p, elements_);
        if (block_.to_c) copy(c_, block_.to_c, elements_);
    }
};

/// Its outputs are where its inputs are.
template <class T>
__device__ const tiny_row<T>& in_memory(const tiny_row<T>& row) {
    return row;
}
template <class T, class Operation, class Group>
__device__ const tiny_row<T>& anew(const tiny_row<T>& row, const Operation&, const Group&, std::int64_t, bool) {
    return row;
}

} // namespace car::inline CAR_ABI::kernel::device_row
