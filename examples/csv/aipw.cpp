// SPDX-License-Identifier: Apache-2.0
// The effect of seeing the actor, from a CSV file, by augmented inverse propensity weighting: `aipw STUDY.csv`. The columns are the
// treatment, the outcome, and nuisances that were predicted on other rows.
#include "table.hpp"

#include <car/treatment.hpp>

int main(int argc, char** argv) try {
    if (argc != 2) throw std::invalid_argument("usage: aipw STUDY.csv");
    const table file(argv[1]);
    const std::vector<int> treatment = file.arms("actor seen");
    const std::vector<double> outcome = file.numbers("probability of the label", -1e9, 1e9), propensity = file.numbers("propensity", 0, 1),
                              control = file.numbers("predicted if erased", -1e9, 1e9),
                              treated = file.numbers("predicted if seen", -1e9, 1e9);
    const car::treatment_data study{treatment, outcome, propensity, control, treated};

    const auto print = [](const char* name, const car::treatment_result& r) {
        std::printf("%-22s %+.4f, standard error %.4f, 95 %% interval %+.4f to %+.4f (%d seen, %d erased)\n", name, r.mean,
                    r.standard_error, r.lower, r.upper, static_cast<int>(r.treated), static_cast<int>(r.control));
    };
    print("difference in means", car::treatment(car::difference_in_means{}, study));
    print("Hajek", car::treatment(car::hajek{}, study));
    const auto effect = car::treatment(car::aipw{}, study);
    print("AIPW", effect);
    if (effect.reason != car::reason::none) throw std::invalid_argument("there is no effect to be had from this file");
} catch (const std::exception& error) {
    std::fprintf(stderr, "aipw: %s\n", error.what());
    return 1;
}
