// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softmax.cuh" // log_sum
#include "total.cuh"   // sums over rows

#include <car/backend/cuda/effect.hpp> // device_effect

namespace car::inline CAR_ABI::kernel::device_row {

/// The label's probability in each row of p, then in each of c: NaN where there is none.
template <class T>
struct probability_rows {
    using storage = T;
    using A = term_of<T>;
    static constexpr kernels has = kernels::few;
    static constexpr bool is_light = false;

    rows_of<const T> logits;
    integers labels;
    double* probability;
    std::int64_t samples, rows, cols; ///< rows: a multiple of samples

    __device__ row_pointers<T> row(std::int64_t i) const { return {logits[i], nullptr, nullptr, nullptr}; }
    /// i modulo the samples: the integer operation is a call.
    __device__ std::int64_t sample(std::int64_t i) const {
        const double draw = static_cast<double>(i) * inverse(static_cast<double>(samples)); // within one
        const std::int64_t rest = i - static_cast<std::int64_t>(draw) * samples;
        return rest < 0 ? rest + samples : rest >= samples ? rest - samples : rest;
    }

    template <class Row, class Group>
    __device__ void operator()(const Row& row, Group& group, std::int64_t i, bool inside) const {
        const row_pointers<T> at = inside ? this->row(i) : row_pointers<T>{};
        const std::int64_t label = inside ? labels[sample(i)] : -1;
        const log_sum<A> whole(row, group, factual_logit{}, [&](int k) { return factual_logit{}(widen(at.p[k]), A(0)); });
        if (!inside || !group.leads()) return;
        const bool known = label >= 0 && label < cols && whole.is_defined();
        probability[i] = known ? quotient(static_cast<double>(whole.exponential(widen(at.p[label]))), whole.sum()) : no_number<double>;
    }
};

/// What effects amount to.
struct effect_sums {
    any_sum sum, square;
    std::int64_t count = 0, faults = 0, first = 0x7fffffffffffffff;

    __device__ void merge(const effect_sums& other) {
        sum.merge(other.sum);
        square.merge(other.square);
        count += other.count;
        faults += other.faults;
        if (other.first < first) first = other.first;
    }
    __device__ void add(double e, std::int64_t i) {
        const double product = e * e;
        sum.add_term(e);
        square.add_term(product);
        if (magnitude(product) < infinity<double>) square.low += fma(e, e, -product);
        ++count;
        if (e == e) return;
        ++faults;
        if (i < first) first = i;
    }
    /// sum (e - mean)^2 = sum e^2 - (sum e)^2 / n, of sums in two doubles.
    __device__ device_effect finish() const {
        device_effect r;
        r.count = count;
        const double n = static_cast<double>(count);
        r.mean = count == 0 ? no_number<double> : quotient(sum.value(), n);
        const double whole = sum.high * sum.high, lost = fma(sum.high, sum.high, -whole) + 2 * sum.high * sum.low;
        const double share = quotient(whole, n), rest = quotient(fma(-share, n, whole) + lost, n);
        const split<double> difference = two_sum(square.high, -share);
        const double spread = difference.high + (difference.low + (square.low - rest));
        r.standard_error = count < 2 ? no_number<double> : sqrt((spread > 0 ? spread : 0 * spread) / (n * (n - 1)));
        if (faults != 0) r.status = {fault::not_finite, static_cast<std::ptrdiff_t>(first), faults};
        return r;
    }
};
static_assert(sizeof(effect_sums) <= part_bytes && sizeof(effect_sums) <= whole_block::slot);

/// The effects of a chunk of rows, and their sums.
template <class A>
__global__ void __launch_bounds__(total_threads)
    add_effects(const double* probability, const integers labels, std::int64_t rows, std::int64_t draws, std::int64_t ignore_index,
                const strided<A> row_effect, effect_sums* parts) {
    __shared__ alignas(16) unsigned char scratch[whole_block::scratch_bytes];
    effect_sums own;
    const std::int64_t begin = blockIdx.x * static_cast<std::int64_t>(chunk), end = begin + chunk < rows ? begin + chunk : rows;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += total_threads) {
        const bool ignored = labels[i] == ignore_index;
        any_sum counterfactual;
        for (std::int64_t m = 1; m <= draws; ++m) counterfactual.add_term(probability[m * rows + i]);
        const double e = ignored ? 0 : probability[i] - quotient(counterfactual.value(), static_cast<double>(draws));
        if (row_effect.data) row_effect[i] = static_cast<A>(e);
        if (!ignored) own.add(e, i);
    }
    whole_block(scratch).reduce(own);
    if (threadIdx.x == 0) parts[blockIdx.x] = own;
}

template <class A>
__global__ void __launch_bounds__(total_threads) finish_effects(const effect_sums* parts, std::int64_t count, device_effect* result) {
    __shared__ alignas(16) unsigned char scratch[whole_block::scratch_bytes];
    effect_sums own;
    for (std::int64_t i = threadIdx.x; i < count; i += total_threads) own.merge(parts[i]);
    whole_block(scratch).reduce(own);
    if (threadIdx.x == 0) *result = own.finish();
}

} // namespace car::inline CAR_ABI::kernel::device_row
