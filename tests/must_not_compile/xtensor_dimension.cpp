// SPDX-License-Identifier: Apache-2.0
// refused: car: this xtensor array has neither one dimension nor two
#include <car/loss.hpp>
#include <car/xtensor.hpp>

#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xtensor.hpp>
#endif

#include <vector>

int main() {
    const xt::xtensor<float, 3> p{{{1, 2}}}, c{{{0, 1}}};
    car::loss(p, c, std::vector<int>{1});
}
