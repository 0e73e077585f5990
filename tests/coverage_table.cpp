// SPDX-License-Identifier: Apache-2.0
// Prints how often the intervals cover: script/coverage builds and runs it.
#include "support/coverage.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    const std::int64_t sets = argc > 1 ? std::atoll(argv[1]) : 10000;
    std::vector<std::size_t> sizes;
    for (int k = 2; k < argc; ++k) sizes.push_back(static_cast<std::size_t>(std::atoll(argv[k])));
    if (sizes.empty()) sizes = {50, 200, 1000, 5000};
    const std::vector<coverage::row> rows = coverage::table(sets, sizes);
    std::printf("| data | estimator |");
    for (const std::size_t n : sizes) std::printf(" n = %zu |", n);
    std::printf(" bias at the last |\n|---|---|");
    for (std::size_t k = 0; k <= sizes.size(); ++k) std::printf("---|");
    std::puts("");
    int broken = 0;
    for (const coverage::row& first : rows) {
        if (first.n != sizes.front()) continue;
        std::printf("| %s | %s |", first.data.c_str(), first.estimator.c_str());
        double bias = 0;
        for (const std::size_t n : sizes) {
            const auto& r = *std::find_if(rows.begin(), rows.end(), [&](const coverage::row& other) {
                return other.n == n && other.estimator == first.estimator && other.data == first.data;
            });
            const auto answered = static_cast<double>(r.answered);
            const double none = 100 * (1 - answered / static_cast<double>(r.sets));
            const bool promised = r.expected == coverage::expected::covers, inside = r.share() >= 0.94 && r.share() <= 0.96;
            broken += promised && !inside;
            std::printf(" %s%.1f%s (%.3f)", promised ? "" : "*", 100 * r.share(), promised ? inside ? "" : "!" : "*", r.width / answered);
            if (none >= 0.05) std::printf(", none %.0f %%", none);
            std::printf(" |");
            bias = r.error / answered;
        }
        std::printf(" %+.3f%s |\n", bias, first.expected == coverage::expected::assumption_broken ? ", assumption broken" : "");
    }
    std::printf("\n%lld data sets for each row; binomial standard error of a coverage of 95 %%: %.2f points; rows that should cover and do "
                "not: %d\n",
                static_cast<long long>(sets), 100 * std::sqrt(0.95 * 0.05 / static_cast<double>(sets)), broken);
    return broken != 0;
}
