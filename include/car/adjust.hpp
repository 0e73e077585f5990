// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention.hpp"     // in-sample and cross-sample attention
#include "backend.hpp"       // policies
#include "detail/check.hpp"  // shapes, labels, overlaps
#include "detail/prior.hpp"  // the strata's probabilities
#include "dictionary.hpp"    // a dictionary of confounders
#include "intervention.hpp"  // the two interventions of cross-modal learning
#include "kernel/adjust.hpp" // the backends' kernels
#include "mediator.hpp"      // attention through a mediator
#include "options.hpp"       // reduction, row_status

#include <cmath>  // std::isnan
#include <limits> // NaN

namespace car::inline CAR_ABI {

/// How P(y | do x) is made of the strata: their mean, or the normalised weighted geometric mean (NWGM), which moves the sum inside the
/// softmax. They differ by 0.06 in total variation at a logit scale of 1, by 0.2 and more at 3.
enum class adjustment { exact, geometric };

struct adjust_options {
    enum adjustment adjustment = adjustment::exact;
    enum reduction reduction = reduction::mean;
    std::int64_t ignore_index = -100;
};

/// The optional arrays of a call; all are written.
template <class T>
struct adjust_arrays {
    matrix_view<T> probability = {};       ///< N x C: P(y | do x), also where ignored
    matrix_view<T> grad = {};              ///< (K N) x C: d value / d g; 0 where ignored
    vector_view<term_of<T>> row_loss = {}; ///< N: -log P(label | do x); 0 where ignored
};

struct adjust_result {
    double value = 0;       ///< reduced negative log-likelihood; NaN for reduction::none, 0 for the mean of no row
    std::int64_t count = 0; ///< rows that are not ignored
    row_status status = {};
};

/// Back-door adjustment of predictions: the confounder's strata z_k, each with its own logits g_k and the probability w_k = P(z_k).
///
///     exact      P = sum_k w_k softmax(g_k)       d(-log P_y)/dg_kj = r_k (softmax(g_k)_j - [j = y]),  r_k = w_k P_ky / sum_l w_l P_ly
///     geometric  P = softmax(sum_k w_k g_k)       d(-log P_y)/dg_kj = w_k (P_j - [j = y])
///
/// Shapes    g: (K N) x C logits, stratum after stratum: row i of stratum k is row k N + i. prior: K. labels: N.
/// Requires  shapes that agree, C >= 1, K >= 1, prior at least 0 with sum 1 to within K u, labels in [0, C) or ignore_index, outputs
///           that overlap nothing else; else throws std::invalid_argument, nothing written.
/// Numerics  in double, rounded once more: relative error of P and of the gradient at most 16 (geometric: 16 + 4 max |g|) double
///           roundings, of a row's loss that times 1 + loss. A stratum of probability 0 counts for nothing. A NaN or +inf, or a stratum
///           with every class masked, makes its row NaN and is reported; a label without probability in any has the loss +inf,
///           exact gradients NaN.
/// Cost      each input read once from memory, then from cache; allocates K + C numbers.
/// Source    Pearl 2009, 3.3.1; Xu et al. 2015 for the NWGM.
template <backend Backend, matrix G>
adjust_result adjust(const Backend& on, const G& g, vector_view<const term_of<scalar_of<const G>>> prior, const label_view& labels,
                     const adjust_options& options = {}, const adjust_arrays<scalar_of<const G>>& arrays = {}) {
    using T = scalar_of<const G>;
    const detail::checker check("adjust");
    const matrix_view<const T> all = view(g);
    const std::ptrdiff_t strata = prior.size, rows = labels.size();
    detail::check_prior(check, prior, "stratum");
    check.shape(detail::footprint_of("g", all), strata * rows, all.cols);
    check.labels(labels, rows, all.cols, options.ignore_index);
    if (arrays.probability) check.shape(detail::footprint_of("probability", arrays.probability), rows, all.cols);
    if (arrays.grad) check.shape(detail::footprint_of("grad", arrays.grad), strata * rows, all.cols);
    if (arrays.row_loss) check.shape(detail::footprint_of("row_loss", arrays.row_loss), rows, 1);
    check.require(options.reduction != reduction::none || arrays.row_loss || rows == 0,
                  "row_loss is not given, expected it for reduction::none");
    check.separate({{detail::footprint_of("probability", arrays.probability)},
                    {detail::footprint_of("grad", arrays.grad)},
                    {detail::footprint_of("row_loss", arrays.row_loss)}},
                   {detail::footprint_of("g", all), detail::footprint_of("prior", prior), detail::footprint_of("labels", labels)});

    adjust_result result;
    for (std::ptrdiff_t i = 0; i != rows; ++i) result.count += labels[i] != options.ignore_index;
    const double divisor = options.reduction == reduction::mean && result.count != 0 ? static_cast<double>(result.count) : 1;
    kernel::adjust_scratch<T> kept{{}, std::vector<double>(static_cast<std::size_t>(all.cols))};
    detail::compensated_sum sum;
    for (std::ptrdiff_t i = 0; i != rows; ++i) {
        const bool ignored = labels[i] == options.ignore_index;
        const auto row = [&](std::ptrdiff_t k) { return all.row(k * rows + i); };
        const auto weight = [&](std::ptrdiff_t k) { return static_cast<double>(prior[k]); };
        const auto probability = [&](std::ptrdiff_t j, double p) {
            if (arrays.probability) arrays.probability(i, j) = static_cast<T>(p);
        };
        const auto gradient = [&](std::ptrdiff_t k, std::ptrdiff_t j, double slope) {
            if (arrays.grad) arrays.grad(k * rows + i, j) = ignored ? T(0) : static_cast<T>(slope / divisor);
        };
        const auto label = ignored ? std::ptrdiff_t{0} : static_cast<std::ptrdiff_t>(labels[i]);
        const double loss = options.adjustment == adjustment::exact
                                ? kernel::adjust_exact(on, kept, strata, row, weight, label, probability, gradient)
                                : kernel::adjust_geometric(on, kept, strata, row, weight, label, probability, gradient);
        if (arrays.row_loss) arrays.row_loss[i] = ignored ? 0 : static_cast<term_of<T>>(loss);
        if (ignored) continue;
        sum.add(loss);
        if (std::isnan(loss) && result.status.rows++ == 0) result.status = {fault::not_finite, i, 1};
    }
    result.value = options.reduction == reduction::none ? std::numeric_limits<double>::quiet_NaN() : sum.value() / divisor;
    return result;
}

template <matrix G>
adjust_result adjust(const G& g, vector_view<const term_of<scalar_of<const G>>> prior, const label_view& labels,
                     const adjust_options& options = {}, const adjust_arrays<scalar_of<const G>>& arrays = {}) {
    return adjust(default_backend, g, prior, labels, options, arrays);
}

} // namespace car::inline CAR_ABI
