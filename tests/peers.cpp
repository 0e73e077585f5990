// SPDX-License-Identifier: Apache-2.0
// Every estimator on rows from standard input, for tests/peers to compare: t y e mu0 mu1 stratum cluster, a row a line.
#include <car/treatment.hpp>

#include <cstdio>
#include <vector>

int main() {
    std::vector<int> t, stratum, cluster;
    std::vector<double> y, e, mu0, mu1;
    for (double row[7]; std::scanf("%lf %lf %lf %lf %lf %lf %lf", row, row + 1, row + 2, row + 3, row + 4, row + 5, row + 6) == 7;) {
        t.push_back(static_cast<int>(row[0])), stratum.push_back(static_cast<int>(row[5])), cluster.push_back(static_cast<int>(row[6]));
        y.push_back(row[1]), e.push_back(row[2]), mu0.push_back(row[3]), mu1.push_back(row[4]);
    }
    const car::treatment_data data{t, y, e, mu0, mu1}, clustered{t, y, e, mu0, mu1, cluster};
    const auto print = [](const char* name, const car::treatment_result& r) {
        std::printf("%s %.17g %.17g %.17g %.17g\n", name, r.mean, r.standard_error, r.lower, r.upper);
    };
    print("difference_in_means", car::treatment(car::difference_in_means{}, data));
    print("horvitz_thompson", car::treatment(car::horvitz_thompson{}, data));
    print("hajek", car::treatment(car::hajek{}, data));
    print("hajek_treated", car::treatment(car::hajek{car::weighting::treated}, data));
    print("hajek_control", car::treatment(car::hajek{car::weighting::control}, data));
    print("hajek_clustered", car::treatment(car::hajek{}, clustered));
    print("hajek_normal", car::treatment(car::hajek{}, data, {.interval = car::interval::normal}));
    print("t_learner", car::treatment(car::t_learner{}, data));
    print("aipw", car::treatment(car::aipw{}, data));
    print("aipw_treated", car::treatment(car::aipw_treated{}, data));
    print("aipw_clustered", car::treatment(car::aipw{}, clustered));
    print("stratification", car::stratification(t, y, stratum, 4));
    return 0;
}
