// SPDX-License-Identifier: Apache-2.0
#include "baselines.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#if __has_include(<xtensor/xmath.hpp>)
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#define CAR_BENCH_XTENSOR 1
#endif

namespace baselines {

float read_two(const batch& from) {
    const std::ptrdiff_t size = from.rows * from.classes;
    using array = Eigen::Map<const Eigen::ArrayXf>;
    return array(from.p, size).sum() + array(from.c, size).sum();
}

void copy_two(const batch& from, float* to_p, float* to_c) {
    const auto size = static_cast<std::size_t>(from.rows * from.classes) * sizeof(float);
    std::memcpy(to_p, from.p, size);
    std::memcpy(to_c, from.c, size);
}

double plain_loop(const batch& from, float* to_p, float* to_c) {
    double total = 0;
    const auto mean = 1 / static_cast<float>(from.rows);
    for (std::ptrdiff_t i = 0; i != from.rows; ++i) {
        const float* const a = from.p + i * from.classes;
        const float* const b = from.c + i * from.classes;
        float top = a[0], top_q = a[0] - b[0];
        for (std::ptrdiff_t k = 1; k != from.classes; ++k) {
            top = std::max(top, a[k]);
            top_q = std::max(top_q, a[k] - b[k]);
        }
        float sum = 0, sum_q = 0, drift = 0;
        for (std::ptrdiff_t k = 0; k != from.classes; ++k) {
            const float e = std::exp(a[k] - top);
            sum += e;
            sum_q += std::exp(a[k] - b[k] - top_q);
            drift += e * b[k];
        }
        const float lse = top + std::log(sum), lse_q = top_q + std::log(sum_q), average = drift / sum;
        total += static_cast<double>(lse - a[from.labels[i]] + (average + lse_q - lse));
        if (!to_p) continue;
        for (std::ptrdiff_t k = 0; k != from.classes; ++k) {
            const float P = std::exp(a[k] - lse), Y = std::exp(a[k] - b[k] - lse_q);
            to_p[i * from.classes + k] = mean * (P + P * (b[k] - average) + Y - P);
            to_c[i * from.classes + k] = mean * (P - Y);
        }
        to_p[i * from.classes + from.labels[i]] -= mean;
    }
    return total / static_cast<double>(from.rows);
}

double eigen_rows(const batch& from, float* to_p, float* to_c) {
    using row = Eigen::Map<const Eigen::ArrayXf>;
    using out = Eigen::Map<Eigen::ArrayXf>;
    double total = 0;
    const auto mean = 1 / static_cast<float>(from.rows);
    for (std::ptrdiff_t i = 0; i != from.rows; ++i) {
        const row a(from.p + i * from.classes, from.classes), b(from.c + i * from.classes, from.classes);
        const float top = a.maxCoeff(), top_q = (a - b).maxCoeff();
        float sum, sum_q, drift;
        if (to_p) {
            out e(to_p + i * from.classes, from.classes), q(to_c + i * from.classes, from.classes);
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
        total += static_cast<double>(lse - a[from.labels[i]] + (average + lse_q - lse));
        if (!to_p) continue;
        out e(to_p + i * from.classes, from.classes), q(to_c + i * from.classes, from.classes);
        const float share = 1 / sum, share_q = 1 / sum_q;
        const auto P = e * share, Y = q * share_q;
        const Eigen::ArrayXf slope = mean * (P * (b - average) + Y);
        q = mean * (P - Y);
        e = slope;
        e[from.labels[i]] -= mean;
    }
    return total / static_cast<double>(from.rows);
}

#if CAR_BENCH_XTENSOR
double xtensor_rows(const batch& from) {
    double total = 0;
    for (std::ptrdiff_t i = 0; i != from.rows; ++i) {
        const auto size = static_cast<std::size_t>(from.classes);
        const std::array<std::size_t, 1> shape{size};
        const auto a = xt::adapt(from.p + i * from.classes, size, xt::no_ownership(), shape),
                   b = xt::adapt(from.c + i * from.classes, size, xt::no_ownership(), shape);
        const float top = xt::amax(a)(), top_q = xt::amax(a - b)();
        const float sum = xt::sum(xt::exp(a - top))(), sum_q = xt::sum(xt::exp(a - b - top_q))(), drift = xt::sum(xt::exp(a - top) * b)();
        const float lse = top + std::log(sum), lse_q = top_q + std::log(sum_q);
        total += static_cast<double>(lse - a(static_cast<std::size_t>(from.labels[i])) + (drift / sum + lse_q - lse));
    }
    return total / static_cast<double>(from.rows);
}
#else
double xtensor_rows(const batch&) { return 0; }
#endif

} // namespace baselines
