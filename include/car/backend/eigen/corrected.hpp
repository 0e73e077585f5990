// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/corrected.hpp" // rows that are not finite
#include "softmax.hpp"             // a row's probabilities

namespace car::inline CAR_ABI::kernel {

namespace eigen_row {

/// y (g - E_y[g]), times the scale and -strength; false, and nothing written, where the row is not finite.
template <class T>
bool vjp(const vector_view<const T>& y, const vector_view<const T>& g, const vector_view<T>& grad_p, const vector_view<T>& grad_c,
         double scale, double strength) {
    using values = lanes<wide<T>>;
    wide<T> mean = 0, mass = 0;
    bool is_finite = true;
    for_each_block(y.size, [&](Index begin, Index count) {
        const values weight = read(y, begin, count, 1), upstream = read(g, begin, count, 1);
        is_finite = is_finite && finite(weight) && finite(upstream);
        mean += (weight * upstream).sum();
        mass += weight.sum();
    });
    if (!is_finite || !(mass > 0)) return false;
    mean /= mass;
    for_each_block(y.size, [&](Index begin, Index count) {
        const values gradient = wide<T>(scale) * read(y, begin, count, 1) * (read(g, begin, count, 1) - mean);
        if (grad_p) write(grad_p, begin, values(gradient + wide<T>(0))); // -0 becomes 0
        if (grad_c) write(grad_c, begin, values(wide<T>(-strength) * gradient + wide<T>(0)));
    });
    return true;
}

} // namespace eigen_row

template <class T>
void corrected_softmax(eigen_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const matrix_view<T>& y, double scale,
                       double strength) noexcept {
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        if constexpr (eigen_row::takes<T>) {
            const auto left = [&](Eigen::Index begin, Eigen::Index count) { return eigen_row::read(p.row(i), begin, count, scale); };
            const auto right = [&](Eigen::Index begin, Eigen::Index count) {
                return eigen_row::read(c.row(i), begin, count, scale, strength);
            };
            // From the column of the largest difference: of those near it, p and c are measured without error.
            Eigen::Index peak = 0;
            auto highest = -std::numeric_limits<eigen_row::wide<T>>::infinity();
            eigen_row::for_each_block(p.cols, [&](Eigen::Index begin, Eigen::Index count) {
                Eigen::Index at = 0;
                const auto max = (left(begin, count) - right(begin, count)).maxCoeff(&at);
                if (max > highest) {
                    highest = max;
                    peak = begin + at;
                }
            });
            const auto p0 = left(peak, 1)[0], c0 = right(peak, 1)[0];
            const auto logits = [&](Eigen::Index begin, Eigen::Index count) -> eigen_row::lanes<eigen_row::wide<T>> {
                return (left(begin, count) - p0) - (right(begin, count) - c0);
            };
            if (eigen_row::map(p.cols, logits, y.row(i), eigen_row::probability)) continue;
        }
        corrected_softmax(scalar_backend{}, eigen_row::as_matrix(p.row(i)), eigen_row::as_matrix(c.row(i)), eigen_row::as_matrix(y.row(i)),
                          scale, strength);
    }
}

template <class T>
void corrected_softmax_vjp(eigen_backend, const matrix_view<const T>& y, const matrix_view<const T>& upstream, const matrix_view<T>& grad_p,
                           const matrix_view<T>& grad_c, double scale, double strength) noexcept {
    for (std::ptrdiff_t i = 0; i != y.rows; ++i) {
        const vector_view<T> to_p = grad_p ? grad_p.row(i) : vector_view<T>{}, to_c = grad_c ? grad_c.row(i) : vector_view<T>{};
        if constexpr (eigen_row::takes<T>)
            if (eigen_row::vjp(y.row(i), upstream.row(i), to_p, to_c, scale, strength)) continue;
        corrected_softmax_vjp(scalar_backend{}, eigen_row::as_matrix(y.row(i)), eigen_row::as_matrix(upstream.row(i)),
                              eigen_row::as_matrix(to_p), eigen_row::as_matrix(to_c), scale, strength);
    }
}

} // namespace car::inline CAR_ABI::kernel
