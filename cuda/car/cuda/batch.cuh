// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "access.cuh" // row_pointers

#include <car/backend/cuda/arrays.hpp> // arrays on a device

namespace car::inline CAR_ABI::kernel::device_row {

/// An array of integers, as a kernel has it.
struct integers {
    const void* data;
    std::int64_t stride;
    int width;
    bool is_signed;

    integers() = default;
    explicit integers(const device_integers& v) : data(v.data()), stride(v.stride()), width(v.width()), is_signed(v.is_signed()) {}

    /// Of an unsigned integer above the range of a signed one, a negative number: no class.
    __device__ std::int64_t operator[](std::int64_t i) const {
        const std::int64_t at = i * stride;
        switch (width) {
        case 1: return is_signed ? as<std::int8_t>(at) : as<std::uint8_t>(at);
        case 2: return is_signed ? as<std::int16_t>(at) : as<std::uint16_t>(at);
        case 4: return is_signed ? as<std::int32_t>(at) : as<std::uint32_t>(at);
        default: return as<std::int64_t>(at);
        }
    }

  private:
    template <class Int>
    __device__ std::int64_t as(std::int64_t at) const {
        return static_cast<std::int64_t>(static_cast<const Int*>(data)[at]);
    }
};

template <class T>
struct strided {
    T* data = nullptr;
    std::int64_t stride = 1;

    strided() = default;
    strided(const vector_view<T, device>& v) : data(v.data), stride(v.stride) {}
    __device__ T& operator[](std::int64_t i) const { return data[i * stride]; }
};

template <class T>
struct rows_of {
    T* data = nullptr;
    std::int64_t stride = 0;

    rows_of() = default;
    rows_of(const matrix_view<T, device>& m) : data(m.data), stride(m.row_stride) {}
    __device__ T* operator[](std::int64_t i) const { return data ? data + i * stride : nullptr; }
};

/// One row's part of the result, without its weight.
struct row_values {
    double cross_entropy = 0, divergence = 0, lse_p = 0, lse_y = 0;
    std::int64_t predicted = -1;
    enum fault what = fault::none;

    __device__ void spoil(double alpha) {
        cross_entropy = lse_p = lse_y = no_number<double>;
        divergence = alpha == 0 ? 0 : no_number<double>;
        predicted = -1;
    }
};

/// What a kernel of the loss is given: the arrays and options of the call.
template <class T>
struct batch {
    using A = term_of<T>;

    rows_of<const T> p, c;
    rows_of<T> grad_p, grad_c;
    strided<A> row_loss, row_cross_entropy, row_divergence, lse_p, lse_y;
    strided<std::int64_t> predicted;
    strided<const A> upstreams, weights, sample_weights;
    integers labels, row_mask;
    row_figures* figures;
    const loss_result* total; ///< has the weight that a mean divides by, where the divisor is not given
    double given_divisor, alpha, z_weight;
    std::int64_t ignore_index;
    enum flow flow;
    bool reads_c;

    __device__ row_pointers<T> row(std::int64_t i) const { return {p[i], reads_c ? c[i] : nullptr, grad_p[i], grad_c[i]}; }
    __device__ std::int64_t label(std::int64_t i) const { return labels[i]; }
    __device__ double upstream(std::int64_t i) const { return upstreams.data ? static_cast<double>(upstreams[i]) : 1; }
    __device__ double divisor() const { return total ? total->weight : given_divisor; }

    /// What the row counts for; 0 where it is ignored. A label that is no class has no weight of its own.
    __device__ double weight(std::int64_t i, std::int64_t label, bool is_class) const {
        if (label == ignore_index || (row_mask.data && row_mask[i] == 0)) return 0;
        const double weight = sample_weights.data ? static_cast<double>(sample_weights[i]) : 1;
        return weights.data && is_class && weight != 0 ? weight * static_cast<double>(weights[label]) : weight;
    }

    __device__ void put(std::int64_t i, double weight, const row_values& row, bool correct) const {
        double loss = row.cross_entropy;
        if (alpha != 0) loss += alpha * row.divergence;
        if (z_weight != 0) loss += z_weight * row.lse_p * row.lse_p;
        if (row_loss.data) row_loss[i] = weight == 0 ? A(0) : static_cast<A>(weight * loss);
        if (row_cross_entropy.data) row_cross_entropy[i] = static_cast<A>(row.cross_entropy);
        if (row_divergence.data) row_divergence[i] = static_cast<A>(row.divergence);
        if (lse_p.data) lse_p[i] = static_cast<A>(row.lse_p);
        if (lse_y.data) lse_y[i] = static_cast<A>(row.lse_y);
        if (predicted.data) predicted[i] = row.predicted;
        if (figures) figures[i] = {row.cross_entropy, row.divergence, row.lse_p, static_cast<std::int32_t>(row.what), correct ? 1 : 0};
    }
};

} // namespace car::inline CAR_ABI::kernel::device_row
