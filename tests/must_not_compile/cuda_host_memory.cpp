// SPDX-License-Identifier: Apache-2.0
// refused: could not convert|no known conversion|no matching
#include <car/cuda.hpp>

#include <vector>

int main() {
    const float p[1][2] = {}, c[1][2] = {};
    const std::vector<int> labels{1};
    (void)car::loss(car::cuda, car::view(p), car::view(c), car::vector_view<const int, car::device>(labels.data(), 1));
}
