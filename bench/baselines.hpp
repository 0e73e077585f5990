// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernels are compared with: what a memory can do, and what one writes by hand. In float, without a bound on their errors.

#include <Eigen/Core>
#include <car/loss.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

#if __has_include(<xtensor/xmath.hpp>)
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>
#define CAR_BENCH_XTENSOR 1
#endif

namespace baselines {

using floats = car::matrix_view<const float>;
using gradient = car::matrix_view<float>;

/// Both streams read once: the least that a forward pass reads.
inline float read_two(const floats& p, const floats& c) {
    const std::ptrdiff_t size = p.rows * p.cols;
    using array = Eigen::Map<const Eigen::ArrayXf>;
    return array(p.data, size).sum() + array(c.data, size).sum();
}

/// The least that a pass with gradients reads and writes.
inline void copy_two(const floats& p, const floats& c, const gradient& to_p, const gradient& to_c) {
    const auto size = static_cast<std::size_t>(p.rows * p.cols) * sizeof(float);
    std::memcpy(to_p.data, p.data, size);
    std::memcpy(to_c.data, c.data, size);
}

/// The loss as it is printed, one element after the other.
inline double plain_loop(const floats& p, const floats& c, const int* labels, const gradient* to_p, const gradient* to_c) {
    double total = 0;
    const auto mean = 1 / static_cast<float>(p.rows);
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const float* const a = p.row(i).data;
        const float* const b = c.row(i).data;
        float top = a[0], top_q = a[0] - b[0];
        for (std::ptrdiff_t k = 1; k != p.cols; ++k) {
            top = std::max(top, a[k]);
            top_q = std::max(top_q, a[k] - b[k]);
        }
        float sum = 0, sum_q = 0, drift = 0;
        for (std::ptrdiff_t k = 0; k != p.cols; ++k) {
            const float e = std::exp(a[k] - top);
            sum += e;
            sum_q += std::exp(a[k] - b[k] - top_q);
            drift += e * b[k];
        }
        const float lse = top + std::log(sum), lse_q = top_q + std::log(sum_q), average = drift / sum;
        total += static_cast<double>(lse - a[labels[i]] + (average + lse_q - lse));
        if (!to_p) continue;
        for (std::ptrdiff_t k = 0; k != p.cols; ++k) {
            const float P = std::exp(a[k] - lse), Y = std::exp(a[k] - b[k] - lse_q);
            (*to_p)(i, k) = mean * (P + P * (b[k] - average) + Y - P);
            (*to_c)(i, k) = mean * (P - Y);
        }
        (*to_p)(i, labels[i]) -= mean;
    }
    return total / static_cast<double>(p.rows);
}

/// The same in expressions of Eigen's arrays, a row at a time.
inline double eigen_rows(const floats& p, const floats& c, const int* labels, const gradient* to_p, const gradient* to_c) {
    using row = Eigen::Map<const Eigen::ArrayXf>;
    using out = Eigen::Map<Eigen::ArrayXf>;
    double total = 0;
    const auto mean = 1 / static_cast<float>(p.rows);
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const row a(p.row(i).data, p.cols), b(c.row(i).data, p.cols);
        const float top = a.maxCoeff(), top_q = (a - b).maxCoeff();
        float sum, sum_q, drift;
        if (to_p) {
            out e(to_p->row(i).data, p.cols), q(to_c->row(i).data, p.cols);
            e = (a - top).exp();
            q = (a - b - top_q).exp();
            sum = e.sum();
            sum_q = q.sum();
            drift = (e * b).sum();
        } else {
            sum = (a - top).exp().sum();
            sum_q = (a - b - top_q).exp().sum();
            drift = ((a - top).exp() * b).sum();
        }
        const float lse = top + std::log(sum), lse_q = top_q + std::log(sum_q), average = drift / sum;
        total += static_cast<double>(lse - a[labels[i]] + (average + lse_q - lse));
        if (!to_p) continue;
        out e(to_p->row(i).data, p.cols), q(to_c->row(i).data, p.cols);
        const float share = 1 / sum, share_q = 1 / sum_q;
        const auto P = e * share, Y = q * share_q;
        const Eigen::ArrayXf slope = mean * (P * (b - average) + Y);
        q = mean * (P - Y);
        e = slope;
        e[labels[i]] -= mean;
    }
    return total / static_cast<double>(p.rows);
}

#if CAR_BENCH_XTENSOR
inline double xtensor_rows(const floats& p, const floats& c, const int* labels) {
    double total = 0;
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const auto size = static_cast<std::size_t>(p.cols);
        const std::array<std::size_t, 1> shape{size};
        const auto a = xt::adapt(p.row(i).data, size, xt::no_ownership(), shape),
                   b = xt::adapt(c.row(i).data, size, xt::no_ownership(), shape);
        const float top = xt::amax(a)(), top_q = xt::amax(a - b)();
        const float sum = xt::sum(xt::exp(a - top))(), sum_q = xt::sum(xt::exp(a - b - top_q))(), drift = xt::sum(xt::exp(a - top) * b)();
        const float lse = top + std::log(sum), lse_q = top_q + std::log(sum_q);
        total += static_cast<double>(lse - a(static_cast<std::size_t>(labels[i])) + (drift / sum + lse_q - lse));
    }
    return total / static_cast<double>(p.rows);
}
#endif

} // namespace baselines
