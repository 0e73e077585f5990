// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "group.cuh" // the threads of a row

// The elements of a row of two matrices: how they are read from memory and written to it, whatever lies between.
namespace car::inline CAR_ABI::kernel::device_row {

/// One row of the matrices of a call; what is missing is null.
template <class T>
struct row_pointers {
    const T* p;
    const T* c;
    T* to_p;
    T* to_c;
};

template <class T, int Vector>
__device__ __forceinline__ pack<T, Vector> load(const T* row, int column) {
    return *reinterpret_cast<const pack<T, Vector>*>(row + column);
}
template <class T, int Vector>
__device__ __forceinline__ void store(T* row, int column, const pack<T, Vector>& values) {
    *reinterpret_cast<pack<T, Vector>*>(row + column) = values;
}

/// One column as the divergence sees it, all of it e times: e = exp(p - M), e x, e phi(x), e (1 - exp(-x)). In a wide row exp(p - c)
/// takes the place of the last two.
template <class A>
struct element {
    A e, drift, excess, fall;
};

/// A column in a quick pass: e, and a c that is a number where e is 0.
template <class A>
struct weighed_column {
    A e, c;
};

template <class A>
struct pair_of {
    A p, c;
};

template <class T, int Vector, class F>
__device__ __forceinline__ void visit_pack(int column, const pack<T, Vector>& p, const pack<T, Vector>& c, F& f) {
#pragma unroll
    for (int j = 0; j != Vector; ++j) f(column + j, widen(p.values[j]), widen(c.values[j]));
}
template <class T, int Vector, class F>
__device__ __forceinline__ void write_pack(const row_pointers<T>& row, int column, const pack<T, Vector>& p, const pack<T, Vector>& c,
                                           F& f) {
    pack<T, Vector> to_p, to_c;
#pragma unroll
    for (int j = 0; j != Vector; ++j) {
        const auto value = f(column + j, widen(p.values[j]), widen(c.values[j]));
        to_p.values[j] = narrow<T>(value.p);
        to_c.values[j] = narrow<T>(value.c);
    }
    if (row.to_p) store(row.to_p, column, to_p);
    if (row.to_c) store(row.to_c, column, to_c);
}

/// What every kind of row knows: its pointers, its length, and which of its columns are this thread's.
template <class T, int Vector>
struct row_base {
    row_pointers<T> at;
    int cols, rank, size;

    __device__ row_base(const row_pointers<T>& at, int cols, int rank, int size) : at(at), cols(cols), rank(rank), size(size) {}
    template <class Operation, class Group>
    __device__ row_base(const Operation& operation, const Group& group, std::int64_t i, bool inside)
        : at(inside ? operation.row(i) : row_pointers<T>{}), cols(inside ? static_cast<int>(operation.cols) : 0), rank(group.rank()),
          size(group.size()) {}

    __device__ pack<T, Vector> factual(int column) const { return load<T, Vector>(at.p, column); }
    __device__ pack<T, Vector> counterfactual(int column) const { return at.c ? load<T, Vector>(at.c, column) : filled(T{}); }
    static __device__ pack<T, Vector> filled(T value) {
        pack<T, Vector> all;
#pragma unroll
        for (int j = 0; j != Vector; ++j) all.values[j] = value;
        return all;
    }
    __device__ bool owns(int k) const { return k / Vector % size == rank; }
    __device__ void put(int k, term_of<T> value) const { at.to_p[k] = narrow<T>(value); }
    __device__ void flush() const {}
    static constexpr int neighbours = Vector; ///< elements that a loop visits at a time
    static constexpr int most_threads = device_row::most_threads;
};

/// Quick passes over a row that keeps nothing of them: what is found of a column is found again. `weigh(p, c)` is what the first of them
/// finds, `bend(weighed)` the second.
template <class Row>
struct recomputed {
    /// f(column, weighed)
    template <class Weigh, class F>
    __device__ void weighed(const Weigh& weigh, F f) const {
        self().visit([&](int k, auto p, auto c) { f(k, weigh(p, c)); });
    }
    /// f(weighed, element)
    template <class Weigh, class Bend, class F>
    __device__ void bent(const Weigh& weigh, const Bend& bend, F f) const {
        self().visit([&](int, auto p, auto c) {
            const auto found = weigh(p, c);
            f(found, bend(found));
        });
    }
    /// Stores f(element), a pair.
    template <class Weigh, class Bend, class F>
    __device__ void write_bent(const Weigh& weigh, const Bend& bend, F f) const {
        self().write([&](int, auto p, auto c) { return f(bend(weigh(p, c))); });
    }

  private:
    __device__ const Row& self() const { return static_cast<const Row&>(*this); }
};

} // namespace car::inline CAR_ABI::kernel::device_row
