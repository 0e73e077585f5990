// SPDX-License-Identifier: Apache-2.0
// refused: car: rows of a nested vector are not contiguous
#include <car/loss.hpp>

#include <vector>

int main() {
    const std::vector<std::vector<float>> p{{1, 2}}, c{{0, 1}};
    car::loss(p, c, std::vector<int>{1});
}
