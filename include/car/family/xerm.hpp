// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // sigmoid

namespace car::inline CAR_ABI {

struct xerm_options {
    double gamma = 2; ///< of the weights
    enum formula formula = formula::exact;
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct xerm_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct xerm_result : family_result {
    double factual = 0;        ///< cross-entropy of p against the label
    double counterfactual = 0; ///< cross-entropy of p against the balanced teacher
    double share = 0;          ///< w
};

namespace kernel {

struct xerm_row {
    const xerm_options& options;

    static constexpr double published_floor = 1e-5; ///< added to the sum of the weights

    template <class Row>
    scalar_row::family_terms<3> operator()(const Row& row) const noexcept {
        const auto student = row.predict_input(0), factual = row.predict_input(1), balanced = row.predict_input(2);
        const fault what = scalar_row::first_fault(student.what(), scalar_row::first_fault(factual.what(), balanced.what()));
        if (what != fault::none) return scalar_row::refused<3>(what);

        const double of_f = detail::log(factual.surprise(row.label)), of_cf = detail::log(balanced.surprise(row.label));
        using detail::part;
        double share = detail::sigmoid(part(options.gamma, of_cf - of_f)), rest = detail::sigmoid(part(options.gamma, of_f - of_cf));
        if (options.formula == formula::as_published) {
            const double f = detail::exp(part(options.gamma, of_f)), cf = detail::exp(part(options.gamma, of_cf));
            share = cf / (cf + f + published_floor);
            rest = (f + published_floor) / (cf + f + published_floor);
        }
        detail::compensated_sum distilled;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k)
            if (const double wanted = balanced.probability(k); wanted != 0) distilled.add(wanted * student.surprise(k));
        const double plain = student.surprise(row.label), other = distilled.value();
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k)
            row.put(0, k, share * student.minus(balanced, k) + rest * student.slope(k, row.label));
        return {share * other + rest * plain, {plain, other, share}};
    }
};

} // namespace kernel

/// Cross-domain empirical risk minimisation: a student learns from the labels and from a balanced teacher, the more from that of the two
/// worlds in which the teachers say that the row is the harder.
///
///     row_loss = w CE(softmax(counterfactual), p) + (1 - w) CE(p, y)
///     w = CE(counterfactual, y)^gamma / (CE(counterfactual, y)^gamma + CE(factual, y)^gamma)
///     dp = w (P - Q) + (1 - w) (P - e_y),   P = softmax(p),   Q = softmax(counterfactual);   the teachers are constants
///
/// Shapes    p, factual, counterfactual (the teachers' logits: total effect, and direct effect), grad_p: N x C; the others as car::cal.
/// Requires  as car::cal; gamma finite.
/// Numerics  as car::cal with M the largest logits of all three, added, times 1 + 2 gamma, and 32 larger by gamma (20 + 4L), L the sum of
///           the magnitudes of the logarithms of the teachers' cross-entropies. Rows that are not finite in p or a teacher: NaN, reported.
///           Both teachers' cross-entropies 0: NaN, reported, unless gamma is 0. as_published adds 1e-5 to the denominator of w, as one of
///           the two programs does.
/// Cost      seven passes over a row; allocates nothing.
/// Source    Zhu et al. 2022, Cross-Domain Empirical Risk Minimization for Unbiased Long-tailed Classification.
template <matrix P>
    requires logit<scalar_of<const P>> xerm_result xerm(const P& p, input<scalar_of<const P>> factual,
                                                        input<scalar_of<const P>> counterfactual, const label_view& labels,
                                                        const xerm_options& options = {},
                                                        const xerm_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 3> call(
            "xerm", {{{"p", view(p), "grad_p", arrays.grad_p}, {"factual", factual, "", {}}, {"counterfactual", counterfactual, "", {}}}},
            labels, options, arrays);
        call.check.finite("gamma", options.gamma);
        return call.template run<xerm_result>(kernel::xerm_row{options}, &xerm_result::factual, &xerm_result::counterfactual,
                                              &xerm_result::share);
    }

} // namespace car::inline CAR_ABI
