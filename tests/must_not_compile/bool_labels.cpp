// SPDX-License-Identifier: Apache-2.0
// refused: could not convert|no known conversion|no matching|candidate template ignored
#include <car/loss.hpp>

#include <array>

int main() {
    const float p[1][2] = {}, c[1][2] = {};
    car::loss(p, c, std::array<bool, 1>{true});
}
