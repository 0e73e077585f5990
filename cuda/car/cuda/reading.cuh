// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "functions.cuh" // exp, for a softcap
#include "launch.cuh"    // which kernels there are

// How the loss reads its logits: as they are, in the terms' type; or as options ask for it, in double, as the host does. The gradients of
// what is read become those of what is in memory.
namespace car::inline CAR_ABI::kernel::device_row {

template <class T>
struct as_given {
    using number = term_of<T>;
    static constexpr kernels has = kernels::all;
    static constexpr bool is_plain = true, has_quick_rows = sizeof(number) == sizeof(float);

    __device__ number p(number x) const { return x; }
    __device__ number c(number x) const { return x; }
    template <class Row>
    __device__ const Row& rows(const Row& row) const {
        return row;
    }
};

template <class Row, class How>
struct asked_row;

template <class T>
struct as_asked {
    using number = double;
    static constexpr kernels has = kernels::streamed;
    static constexpr bool is_plain = false, has_quick_rows = false;

    double scale, rate, strength, smoothing; ///< rate: of tanh, 0 where there is no softcap
    bool against_label, accumulates;

    __device__ double p(double x) const {
        if (!is_bent(x)) return scale * x;
        const double size = 2 * magnitude(rate * x), near = smaller(size, format<double>::deepest);
        const curve<double> at(near, 0);
        const double fall = at.drop, capped = quotient(quotient(fall, 2 - fall), rate); // 1 - exp(-size)
        return scale * (x < 0 ? -capped : capped);
    }
    __device__ double c(double x) const { return strength * p(x); }
    /// dp(x)/dx, with all its digits where tanh is nearly 1.
    __device__ double slope_p(double x) const {
        if (!is_bent(x)) return scale;
        const double size = 2 * magnitude(rate * x);
        const double e = size < format<double>::negligible ? shifted_exp(reduced<double>(-size)) : 0;
        return scale * quotient(4 * e, (1 + e) * (1 + e));
    }
    __device__ double slope_c(double x) const { return strength * slope_p(x); }

    template <class Row>
    __device__ asked_row<Row, as_asked> rows(const Row& row) const {
        return {row, *this};
    }

  private:
    __device__ bool is_bent(double x) const { return rate != 0 && magnitude(x) < infinity<double>; }
};

template <class Row, class How>
struct asked_row {
    const Row& row;
    const How& how;
    static constexpr int neighbours = Row::neighbours;

    template <class F>
    __device__ void visit(F f) const {
        row.visit([&](int k, auto p, auto c) {
            const pair_of<double> read = both(p, c);
            f(k, read.p, read.c);
        });
    }
    template <class F>
    __device__ void write(F f) const {
        row.write([&](int k, auto p, auto c) {
            using term = decltype(p);
            const pair_of<double> read = both(p, c), slopes = f(k, read.p, read.c);
            return pair_of<term>{static_cast<term>(sum(slopes.p, how.slope_p(p), row.at.to_p, k)),
                                 static_cast<term>(sum(slopes.c, how.slope_c(c), row.at.to_c, k))};
        });
    }

    friend __device__ const asked_row& in_memory(const asked_row& row) { return row; }

  private:
    /// By one text, which is long.
    __device__ pair_of<double> both(double p, double c) const {
        pair_of<double> read{p, c};
#pragma unroll 1
        for (int of_c = 0; of_c != 2; ++of_c) {
            const double x = how.p(of_c ? read.c : read.p);
            if (of_c)
                read.c = how.strength * x;
            else
                read.p = x;
        }
        return read;
    }
    /// What goes to column k of a gradient. A slope of 0 is a 0, and leaves what is there.
    template <class T>
    __device__ double sum(double of_read, double slope, const T* there, int k) const {
        const double before = how.accumulates && there ? static_cast<double>(widen(there[k])) : 0;
        const double value = of_read * slope;
        return of_read == 0 || value == 0 ? before : value + before;
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
