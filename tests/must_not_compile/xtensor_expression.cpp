// SPDX-License-Identifier: Apache-2.0
// refused: call xt::eval on it, and on every reducer inside it
#include <car/loss.hpp>
#include <car/xtensor.hpp>

#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <vector>

int main() {
    const xt::xtensor<float, 2> p{{1, 2}}, c{{0, 1}};
    car::loss(p - xt::amax(p, {1}, xt::keep_dims), c, std::vector<int>{1});
}
