// SPDX-License-Identifier: Apache-2.0
// refused: could not convert|no known conversion|no matching|constraints not satisfied
#include <car/loss.hpp>

#include <vector>

struct device {};

int main() {
    const float p[1][2] = {};
    car::loss(p, car::matrix_view<const float, device>(nullptr, 1, 2), std::vector<int>{1});
}
