// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.cuh"  // rows_of
#include "launch.cuh" // rows on a device
#include "state.cuh"  // exponentials

#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI::kernel::device_row {

/// How the logit of a column is read from p and c.
struct factual_logit {
    template <class A>
    __device__ split<A> operator()(A p, A) const {
        return {p, A(0)};
    }
};

/// p - strength c, the strength in two parts. The c of a masked class is not read.
template <class A>
struct corrected_logit {
    split<A> strength;

    __device__ split<A> operator()(A p, A c) const {
        if (p == -infinity<A>) return {p, A(0)};
        const A taken = -strength.high * c, lost = fma(-strength.high, c, -taken);
        split<A> difference = two_sum(p, taken);
        // An infinite or vast c has no remainder.
        difference.low = magnitude(difference.high) < infinity<A> ? difference.low + fma(-strength.low, c, lost) : A(0);
        return difference;
    }
};

/// The maximum of a row of logits and the sum of exp(logit - maximum).
template <class A>
struct log_sum {
    peak<A> top;
    exponentials<A> exponential;
    A at_top = 1;     ///< exp at the maximum's column
    A low_of_top = 0; ///< what top.value, a rounded logit, is short of it
    joint<A> rest;

    __device__ log_sum() : exponential(A(0)) {}

    /// own(k) is the logit of any column of the row.
    template <class Row, class Group, class Logit>
    __device__ log_sum(const Row& row, Group& group, const Logit& logit, const auto& own)
        : top(largest(row, group, logit)), exponential(is_defined() ? top.value : A(0)) {
        if (is_defined()) {
            low_of_top = own(top.column).low;
            at_top = exponential(top.value, low_of_top);
        }
        compensated<A> own_rest;
        row.visit([&](int k, A p, A c) {
            const split<A> own = logit(p, c);
            own_rest.add_term(k == top.column ? A(0) : exponential(own.high, own.low));
        });
        rest = own_rest;
        group.reduce(rest);
    }

    __device__ bool is_defined() const { return top.is_number(); }
    __device__ double sum() const { return rest.value() + static_cast<double>(at_top); }
    /// log(sum of exp(logit - the largest logit)), with all digits of a sure row.
    __device__ double value() const { return log1p<A>(rest.value() * inverse(static_cast<double>(at_top))); }

  private:
    template <class Row, class Group, class Logit>
    static __device__ peak<A> largest(const Row& row, Group& group, const Logit& logit) {
        peak<A> found;
        row.visit([&](int k, A p, A c) { found.add(logit(p, c).high, k); });
        found.close();
        group.reduce(found);
        return found;
    }
};

/// What is written of each row of logits.
enum class output { probability, log_probability, log_sum };

template <class T, class Logit>
struct softmax_rows {
    using storage = T;
    using A = term_of<T>;
    static constexpr kernels has = kernels::few;
    static constexpr bool is_light = false;

    rows_of<const T> p, c;
    rows_of<T> y;
    strided<A> sums;
    Logit logit;
    enum output output;
    std::int64_t rows, cols;
    static constexpr bool is_factual = std::is_same_v<Logit, factual_logit>; ///< else there is but the probability

    __device__ row_pointers<T> row(std::int64_t i) const { return {p[i], c[i], y[i], nullptr}; }

    template <class Row, class Group>
    __device__ void operator()(const Row& row, Group& group, std::int64_t i, bool inside) const {
        const row_pointers<T> at = inside ? this->row(i) : row_pointers<T>{};
        const log_sum<A> whole(row, group, logit, [&](int k) { return logit(widen(at.p[k]), at.c ? widen(at.c[k]) : A(0)); });
        group.settle();
        if (!inside) return;
        const double value = whole.value();
        if (is_factual && output == output::log_sum) {
            if (group.leads()) sums[i] = static_cast<A>(static_cast<double>(whole.top.value) + value);
            if (group.leads() && !whole.is_defined())
                sums[i] = !whole.top.bad ? -infinity<A> : whole.top.bad == 1 ? infinity<A> : no_number<A>;
        } else if (!whole.is_defined()) {
            row.write([](int, A, A) { return pair_of<A>{no_number<A>, A(0)}; });
        } else if (!is_factual || output == output::probability) {
            const A share = static_cast<A>(inverse(whole.sum()));
            row.write([&](int, A factual, A counterfactual) {
                const split<A> own = logit(factual, counterfactual);
                return pair_of<A>{whole.exponential(own.high, own.low) * share, A(0)};
            });
        } else if constexpr (is_factual) {
            const A high = static_cast<A>(value), low = static_cast<A>(value - static_cast<double>(high));
            row.write([&](int, A factual, A) {
                if (factual == -infinity<A>) return pair_of<A>{factual, A(0)};
                const split<A> distance = two_sum(factual, -whole.top.value);
                const split<A> all = two_sum(distance.high, -high);
                return pair_of<A>{all.high + (all.low + (distance.low - low)), A(0)};
            });
        }
    }
};

/// The vector-Jacobian product of a softmax y: scale y (g - sum g y / sum y). Its rows are those of y and g.
template <class T>
struct softmax_vjp_rows {
    using storage = T;
    using A = term_of<T>;
    static constexpr kernels has = kernels::few;
    static constexpr bool is_light = false;

    rows_of<const T> y, upstream;
    rows_of<T> grad_p, grad_c;
    double scale, strength;
    std::int64_t rows, cols;

    __device__ row_pointers<T> row(std::int64_t i) const { return {y[i], upstream[i], grad_p[i], grad_c[i]}; }

    template <class Row, class Group>
    __device__ void operator()(const Row& row, Group& group, std::int64_t, bool inside) const {
        const auto is_nothing = [](A probability) { return probability == 0 || probability == -infinity<A>; }; // or past the end
        compensated<A> products, mass; // y sums to 1 only to rounding: what is missing may not leak into the gradient
        row.visit([&](int, A probability, A g) {
            if (is_nothing(probability)) return;
            const A product = probability * g;
            products.add_term(product);
            products.low += fma(probability, g, -product);
            mass.add_term(probability);
        });
        two_sums<A> sums{products, mass};
        group.reduce(sums);
        group.settle();
        if (!inside) return;
        const double mean = quotient(sums.first.value(), sums.second.value());
        const A high = static_cast<A>(mean), low = static_cast<A>(mean - static_cast<double>(high));
        const A to_p = static_cast<A>(scale), to_c = static_cast<A>(-strength * scale);
        row.write([&](int, A probability, A g) {
            const split<A> difference = two_sum(g, -high);
            const A product = is_nothing(probability) ? A(0) : probability * (difference.high + (difference.low - low));
            return pair_of<A>{fma(product, to_p, A(0)), fma(product, to_c, A(0))};
        });
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
