// SPDX-License-Identifier: Apache-2.0
// Prints how often the intervals cover: script/coverage builds and runs it.
#include "support/coverage.hpp"

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    const std::int64_t sets = argc > 1 ? std::atoll(argv[1]) : 10000;
    std::vector<std::size_t> sizes;
    for (int k = 2; k < argc; ++k) sizes.push_back(static_cast<std::size_t>(std::atoll(argv[k])));
    if (sizes.empty()) sizes = {50, 200, 1000, 5000};
    std::vector<coverage::row> rows = coverage::table(sets, sizes);
    std::printf("| estimator | data | n | covered | width | bias | no answer | |\n|---|---|---|---|---|---|---|---|\n");
    int broken = 0;
    for (const coverage::row& r : rows) {
        const double answered = static_cast<double>(r.answered);
        const bool promised = r.expected == coverage::expected::covers;
        const bool inside = r.share() >= 0.94 && r.share() <= 0.96;
        broken += promised && !inside;
        const char* note = r.expected == coverage::expected::assumption_broken ? "assumption broken"
                           : !promised                                         ? "small sample"
                           : inside                                            ? ""
                                                                               : "**outside 94 to 96**";
        std::printf("| %s | %s | %zu | %.2f %% | %.4f | %+.4f | %.1f %% | %s |\n", r.estimator.c_str(), r.data.c_str(), r.n,
                    100 * r.share(), r.width / answered, r.error / answered, 100 * (1 - answered / static_cast<double>(r.sets)), note);
    }
    std::printf("\n%lld data sets for each row; binomial standard error of a coverage of 95 %%: %.2f points; rows that should cover and do "
                "not: %d\n",
                static_cast<long long>(sets), 100 * std::sqrt(0.95 * 0.05 / static_cast<double>(sets)), broken);
    return broken != 0;
}
