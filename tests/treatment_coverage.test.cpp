// SPDX-License-Identifier: Apache-2.0
// Few data sets, seeded, and two sample sizes; script/coverage runs 10,000 and four.
#include "support/coverage.hpp"

#include <doctest/doctest.h>

TEST_CASE("nominal 95 % intervals cover 94 to 96 % where they should, within four binomial standard errors") {
    int fooled = 0;
    for (const coverage::row& r : coverage::table(1000, {200, 1000})) {
        INFO(r.estimator << ", " << r.data << ", n = " << r.n << ": " << 100 * r.share() << " % of " << r.answered);
        if (r.expected == coverage::expected::covers) CHECK(coverage::within(r));
        if (r.expected == coverage::expected::assumption_broken) fooled += !coverage::within(r);
    }
    CHECK(fooled >= 10); // the simulation tells a wrong estimator from a right one
}
