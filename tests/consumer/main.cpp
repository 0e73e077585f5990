// SPDX-License-Identifier: Apache-2.0
// A user's program, the same for every way in which a build takes the library. What it computes can be computed by hand.
#ifdef CONSUMER_AMALGAMATED
#include "car.hpp"
#else
#include <car/effect.hpp>
#include <car/loss.hpp>
#include <car/version.hpp>
#endif

#ifdef CONSUMER_EIGEN
#include <car/eigen.hpp>
#endif

#ifdef CONSUMER_XTENSOR
#include <car/xtensor.hpp>
#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xtensor.hpp>
#endif
#endif

#include <cmath>
#include <cstdio>

int main() {
    // P = (3/4, 1/4); c takes everything away, so Y = (1/2, 1/2).
    const double p[1][2] = {{std::log(3.0), 0}};
    const double c[1][2] = {{std::log(3.0), 0}};
    const int labels[] = {0};
    const double expected = std::log(4.0 / 3) + 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
#ifdef CONSUMER_EIGEN
    const Eigen::Map<const Eigen::Matrix<double, 1, 2>> logits(p[0]);
#else
    const auto& logits = p;
#endif
#ifdef CONSUMER_XTENSOR
    const xt::xtensor<double, 2> without_actor{{c[0][0], c[0][1]}};
#else
    const auto& without_actor = c;
#endif
    const auto loss = car::loss(logits, without_actor, labels);
    const auto effect = car::effect(p, c, labels);

    std::printf("car %d.%d.%d: loss %a, effect %a\n", CAR_VERSION_MAJOR, CAR_VERSION_MINOR, CAR_VERSION_PATCH, loss.value, effect.mean);
    return std::abs(loss.value - expected) < 1e-15 && effect.mean == 0 ? 0 : 1;
}
