// SPDX-License-Identifier: Apache-2.0
// Compiled twice into one program: as `checked` without optimisation, as `unchecked` with all of it and without exceptions.
#include "half.hpp"

#include <car/corrected.hpp>
#include <car/effect.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>
#include <car/threads.hpp>

#include <array>
#include <cmath>

namespace HALF {
namespace {

constexpr double u = 0x1p-53;
const std::vector<std::array<double, 5>> p{{2.0, -1.0, 0.5, 0.25, 3.1}, {-2.0, 0.7, 1.9, -0.3, 0.2}, {40.0, -40.0, 0.1, 7.0, 0.0}};
const std::vector<std::array<double, 5>> c{{0.5, -0.25, 1.0, 1.5, -0.5}, {0.0, 3.0, -1.0, 0.2, 0.9}, {1.0, 2.0, -3.0, 0.0, 5.5}};

} // namespace

std::vector<figure> figures() {
    const std::vector<int> labels{4, 0, 3};
    const auto loss = car::loss(p, c, labels, {.reduction = car::reduction::sum});
    const auto effect = car::effect(p, c, labels);
    std::array<std::array<double, 5>, 3> y{}, z{};
    car::softmax(p, y);
    car::corrected_softmax(p, c, z);
    return {{"cross-entropy", loss.cross_entropy, 8 * u * std::abs(loss.cross_entropy)},
            {"divergence", loss.divergence, 32 * u * std::abs(loss.divergence)},
            {"effect", effect.mean, 16 * u},
            {"softmax", y[1][2], 8 * u * y[1][2]},
            {"corrected softmax", z[1][2], 8 * u * z[1][2]}};
}

void fail() {
    const std::vector<int> labels{0, 5, 1};
    car::loss(p, c, labels);
}

} // namespace HALF
