// SPDX-License-Identifier: Apache-2.0
// Whatever the parts of a row and whatever the order, their states merge to the row's.
#include <car/kernel/loss.hpp>
#include <car/row_state.hpp>

#include "support/row_cases.hpp"
#include "support/row_reference.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace {

using pairs = car::kernel::scalar_row::logit_pairs<double, car::detail::split>;

pairs part(const cases::row<double>& row, std::size_t begin, std::size_t end) {
    const auto n = static_cast<std::ptrdiff_t>(end - begin);
    return {{{row.p.data() + begin, n}}, {row.c.data() + begin, n}};
}

car::row_state make_state(const pairs& row) { return car::kernel::scalar_row::measured(row).state; }

} // namespace

TEST_CASE("states of random parts, merged in a random tree, say what the row says") {
    cases::generator random(21);
    double worst = 0;
    for (int trial = 0; trial != 1200; ++trial) {
        const std::size_t classes = 1 + random() % 300;
        const auto g = cases::all_counterfactual[static_cast<std::size_t>(trial) % 12];
        const auto row = cases::make<double>(classes, trial % 2 ? cases::factual::normal : cases::factual::masked, g, random);
        std::vector<car::row_state> states{car::row_state{}}; // the identity takes part
        for (std::size_t begin = 0; begin != classes;) {
            const std::size_t end = std::min(classes, begin + 1 + random() % 40);
            states.push_back(make_state(part(row, begin, end)));
            begin = end;
        }
        while (states.size() > 1) {
            std::shuffle(states.begin(), states.end(), random);
            const auto last = states.back();
            states.pop_back();
            states.back() = car::merge(states.back(), last);
        }
        std::vector<reference::wide> p, c;
        for (std::size_t k = 0; k != classes; ++k) {
            p.push_back(static_cast<reference::wide>(row.p[k]));
            c.push_back(static_cast<reference::wide>(row.c[k]));
        }
        const reference::row want(p, c, row.label);
        INFO(row.name);
        const auto terms = car::finish(states[0]);
        const double u = 0x1p-53, lse = static_cast<double>(log1pq(want.factual.rest));
        // Every merge multiplies what it moves by an exponential of 1 ulp and adds it: 4 roundings each, at most one merge a part.
        const double merges = 4 * static_cast<double>(classes / 20 + 4);
        CHECK(std::abs(terms.log_sum - lse) <= merges * u * lse + 1e-300);
        const double kl = static_cast<double>(want.divergence);
        if (terms.condition <= 4) {
            CHECK(std::abs(terms.divergence - kl) <= (merges * 4 + 8) * u * kl);
            worst = std::max(worst, kl > 0 ? std::abs(terms.divergence - kl) / kl / u : 0);
        }
    }
    MESSAGE("worst error of a merged divergence of condition 4 or less: " << worst << " u");
}

TEST_CASE("a move in which large terms cancel shows in the condition") {
    cases::row<double> row{std::vector<double>(41, 0), std::vector<double>(41, 0), 0, {}}; // 40 equal classes,
    row.c[1] = 10;  // measured from the one that is far from the others,
    row.p[0] = 0.1; // then moved to one that is not
    const car::row_state first = make_state(part(row, 0, 1)), far = make_state(part(row, 1, 41)), moved = car::merge(first, far);
    CHECK(far.centre == 10);
    CHECK(moved.centre == 0);
    CHECK(car::finish(make_state(part(row, 0, 41))).condition <= 4);
    CHECK(car::finish(moved).condition > 4);
}

TEST_CASE("the identity changes nothing, to the bit") {
    cases::generator random(22);
    const auto row = cases::make<double>(9, cases::factual::normal, cases::counterfactual::normal, random);
    const car::row_state state = make_state(part(row, 0, 9)), identity;
    CHECK(identity.is_empty());
    for (const car::row_state& merged : {car::merge(state, identity), car::merge(identity, state)}) {
        CHECK(merged.max.high == state.max.high);
        CHECK(merged.rest == state.rest);
        CHECK(merged.drift == state.drift);
        CHECK(merged.excess == state.excess);
    }
    CHECK(car::merge(identity, identity).is_empty());
    CHECK(identity.sum() == 0);
}
