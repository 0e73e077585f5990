// SPDX-License-Identifier: Apache-2.0
// refused: call .eval\(\) on it
#include <car/eigen.hpp>
#include <car/loss.hpp>

#include <vector>

int main() {
    const Eigen::MatrixXf p(1, 2), c(1, 2);
    car::loss(p + c, c, std::vector<int>{1});
}
