// SPDX-License-Identifier: Apache-2.0
// What tests/inner_loops counts the instructions of: the loss of float rows with and without gradients, on every instruction set.
#include <car/loss.hpp>

double forward(const car::matrix_view<const float>& p, const car::matrix_view<const float>& c, const car::label_view& labels) {
    return car::loss(car::simd, p, c, labels).value;
}
double both(const car::matrix_view<const float>& p, const car::matrix_view<const float>& c, const car::label_view& labels,
            const car::loss_arrays<float>& arrays) {
    return car::loss(car::simd, p, c, labels, {}, arrays).value;
}
