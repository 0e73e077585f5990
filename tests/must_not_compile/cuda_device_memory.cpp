// SPDX-License-Identifier: Apache-2.0
// refused: could not convert|no known conversion|no matching|constraints not satisfied|invalid initialization
#include <car/loss.hpp>

#include <vector>

int main() {
    const car::matrix_view<const float, car::device> p(nullptr, 0, 2);
    car::loss(p, p, std::vector<int>{1});
}
