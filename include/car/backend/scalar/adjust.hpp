// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../detail/arithmetic.hpp" // compensated_sum
#include "effect.hpp"                  // a row's probabilities

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
    for (std::ptrdiff_t k = 0; k != strata; ++k) kept.of_stratum.emplace_back(row(k), sum_exponentials(on, row(k)));
    const auto of = [&](std::ptrdiff_t k) -> const scores<T>& { return kept.of_stratum[static_cast<std::size_t>(k)]; };
    const auto joint = [&](std::ptrdiff_t k) { // log w_k P_ky
        if (prior(k) == 0) return detail::double_double{nothing};
        const auto likelihood = of(k).log_probability(label);
        return std::isfinite(likelihood.high) ? detail::exact_sum(likelihood.high, likelihood.low + std::log(prior(k))) : likelihood;
    };

    detail::double_double likeliest{nothing};
    bool defined = true;
    for (std::ptrdiff_t k = 0; k != strata; ++k) {
        const auto one = joint(k);
        defined = defined && !std::isnan(one.high);
        if (one.high > likeliest.high) likeliest = one;
    }
    const auto over_likeliest = [&](std::ptrdiff_t k) { // w_k P_ky over the largest of them
        if (!defined) return std::numeric_limits<double>::quiet_NaN();
        const auto one = joint(k);
        if (one.high == nothing && likeliest.high != nothing) return 0.0;
        const auto apart = detail::exact_sum(one.high, -likeliest.high);
        return std::exp(apart.high) * (1 + (apart.low + (one.low - likeliest.low)));
    };
    detail::compensated_sum sum;
    for (std::ptrdiff_t k = 0; k != strata; ++k) sum.add(over_likeliest(k));

    for (std::ptrdiff_t j = 0; j != classes; ++j) {
        detail::compensated_sum mixed;
        for (std::ptrdiff_t k = 0; k != strata; ++k)
            if (prior(k) != 0) mixed.add(prior(k) * of(k).probability(j));
        probability(j, mixed.value());
    }
    for (std::ptrdiff_t k = 0; k != strata; ++k) {
        const double share = prior(k) == 0 ? 0 : over_likeliest(k) / sum.value();
        detail::compensated_sum others;
        for (std::ptrdiff_t j = 0; j != classes; ++j) {
            if (j == label) continue;
            const double p = prior(k) == 0 ? 0 : of(k).probability(j);
            others.add(p);
            gradient(k, j, share * p);
        }
        gradient(k, label, -share * others.value());
    }
    if (likeliest.high == nothing && defined) return -nothing;
    return -(likeliest.high + (likeliest.low + std::log(sum.value())));
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
    const vector_view<const double> logits{kept.of_class};
    const scores<double> mean(logits, sum_exponentials(on, logits));
    detail::compensated_sum others;
    for (std::ptrdiff_t j = 0; j != classes; ++j) {
        const double p = mean.probability(j);
        probability(j, p);
        if (j == label) continue;
        others.add(p);
        for (std::ptrdiff_t k = 0; k != strata; ++k) gradient(k, j, prior(k) * p);
    }
    for (std::ptrdiff_t k = 0; k != strata; ++k) gradient(k, label, -prior(k) * others.value());
    const auto likelihood = mean.log_probability(label);
    return -(likelihood.high + likelihood.low);
}

} // namespace car::inline CAR_ABI::kernel
