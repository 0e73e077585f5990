// SPDX-License-Identifier: Apache-2.0
// refused: no matching function for call to .*loss
#include <car/loss.hpp>

#include <Eigen/Core>

#include <vector>

int main() {
    const std::vector<float> p{1, 2}, c{0, 1};
    const Eigen::MatrixXi labels(2, 2); // whose rows step over its other row: only <car/eigen.hpp> knows
    car::loss(car::matrix_view<const float>(p.data(), 1, 2), {c.data(), 1, 2}, labels.row(0));
}
