// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../detail/arithmetic.hpp" // compensated_sum
#include "score.hpp"                   // a row's probabilities

#include <cmath>   // std::exp, std::log
#include <cstddef> // std::ptrdiff_t
#include <limits>  // infinity
#include <vector>  // what is kept of a row

namespace car::inline CAR_ABI::kernel {

/// What is kept of a row between the loops: the probabilities of each stratum, and a number for each class.
template <class T>
struct adjust_scratch {
    std::vector<scores<T>> of_stratum;
    std::vector<double> of_class;
};

/// -log sum_k w_k softmax(g_k)_y of one row, g_k = row(k), w_k = prior(k), k < strata; gives `probability(j, P_j)` and `gradient(k, j,
/// slope)`: w_k P_ky / sum_l w_l P_ly (P_kj - [j = y]), with the label's own P_ky - 1 as minus the sum of the others.
template <class T, class Row, class Prior, class Probability, class Gradient>
double adjust_exact(scalar_backend on, adjust_scratch<T>& kept, std::ptrdiff_t strata, Row row, Prior prior, std::ptrdiff_t label,
                    Probability probability, Gradient gradient) {
    constexpr double nothing = -std::numeric_limits<double>::infinity();
    const auto classes = static_cast<std::ptrdiff_t>(kept.of_class.size());
    kept.of_stratum.clear();
    for (std::ptrdiff_t k = 0; k != strata; ++k) kept.of_stratum.emplace_back(on, row(k));
    const auto of = [&](std::ptrdiff_t k) -> const scores<T>& { return kept.of_stratum[static_cast<std::size_t>(k)]; };
    const auto joint = [&](std::ptrdiff_t k) { return prior(k) == 0 ? nothing : std::log(prior(k)) + of(k).log_probability(label); };

    double likeliest = nothing;
    bool defined = true;
    for (std::ptrdiff_t k = 0; k != strata; ++k) {
        defined = defined && !std::isnan(joint(k));
        likeliest = joint(k) > likeliest ? joint(k) : likeliest;
    }
    detail::compensated_sum sum; // of w_k P_ky over the largest of them
    for (std::ptrdiff_t k = 0; k != strata; ++k) sum.add(defined ? std::exp(joint(k) - likeliest) : std::log(-1.0));

    for (std::ptrdiff_t j = 0; j != classes; ++j) {
        detail::compensated_sum mixed;
        for (std::ptrdiff_t k = 0; k != strata; ++k)
            if (prior(k) != 0) mixed.add(prior(k) * of(k).probability(j));
        probability(j, mixed.value());
    }
    for (std::ptrdiff_t k = 0; k != strata; ++k) {
        const double share = prior(k) == 0 ? 0 : std::exp(joint(k) - likeliest) / sum.value();
        detail::compensated_sum others;
        for (std::ptrdiff_t j = 0; j != classes; ++j) {
            if (j == label) continue;
            const double p = prior(k) == 0 ? 0 : of(k).probability(j);
            others.add(p);
            gradient(k, j, share * p);
        }
        gradient(k, label, -share * others.value());
    }
    return likeliest == nothing && defined ? -likeliest : -(likeliest + std::log(sum.value()));
}

/// -log softmax(sum_k w_k g_k)_y of one row, likewise; the slope is w_k (P_j - [j = y]).
template <class T, class Row, class Prior, class Probability, class Gradient>
double adjust_geometric(scalar_backend on, adjust_scratch<T>& kept, std::ptrdiff_t strata, Row row, Prior prior, std::ptrdiff_t label,
                        Probability probability, Gradient gradient) {
    const auto classes = static_cast<std::ptrdiff_t>(kept.of_class.size());
    for (std::ptrdiff_t j = 0; j != classes; ++j) {
        detail::compensated_sum mean;
        for (std::ptrdiff_t k = 0; k != strata; ++k)
            if (prior(k) != 0) mean.add(prior(k) * static_cast<double>(row(k)[j]));
        kept.of_class[static_cast<std::size_t>(j)] = mean.value();
    }
    const scores<double> mean(on, vector_view<const double>{kept.of_class});
    detail::compensated_sum others;
    for (std::ptrdiff_t j = 0; j != classes; ++j) {
        const double p = mean.probability(j);
        probability(j, p);
        if (j == label) continue;
        others.add(p);
        for (std::ptrdiff_t k = 0; k != strata; ++k) gradient(k, j, prior(k) * p);
    }
    for (std::ptrdiff_t k = 0; k != strata; ++k) gradient(k, label, -prior(k) * others.value());
    return -mean.log_probability(label);
}

} // namespace car::inline CAR_ABI::kernel
