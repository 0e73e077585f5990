// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp" // the checks and rows of every member

namespace car::inline CAR_ABI {

struct cal_options {
    double strength = 1;         ///< of c
    double factual_weight = 1;   ///< of CE(p)
    double corrected_weight = 1; ///< of CE(p - strength c)
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct cal_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_c = {};                       ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct cal_result : family_result {
    double cross_entropy = 0; ///< of p
    double corrected = 0;     ///< of p - strength c
};

namespace kernel {

struct cal_row {
    const cal_options& options;

    template <class Row>
    scalar_row::family_terms<2> operator()(const Row& row) const noexcept {
        using Difference = typename Row::difference;
        const auto factual = row.predict_input(0);
        if (factual.what() != fault::none) return scalar_row::refused<2>(factual.what());
        const auto corrected = row.predict([&](std::ptrdiff_t k) {
            const double p = row(0, k);
            return p == -detail::infinity ? Difference{p} : detail::difference<Difference>(p, options.strength * row(1, k));
        });
        if (corrected.what() != fault::none) return scalar_row::refused<2>(fault::not_finite);

        const double plain = factual.surprise(row.label), other = corrected.surprise(row.label);
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const bool live = !factual.is_masked(k);
            const double force = options.corrected_weight * corrected.slope(k, row.label);
            row.put(0, k, options.factual_weight * factual.slope(k, row.label) + force);
            row.put(1, k, live ? -options.strength * force : 0);
        }
        return {detail::part(options.factual_weight, plain) + detail::part(options.corrected_weight, other), {plain, other}};
    }
};

} // namespace kernel

/// Counterfactual Attention Learning: cross-entropy of the prediction and of the corrected prediction.
///
///     row_loss = factual_weight CE(p, y) + corrected_weight CE(p - strength c, y),   CE(z, y) = log sum_k exp z_k - z_y
///     dp = factual_weight (P - e_y) + corrected_weight (Y - e_y),   dc = -strength corrected_weight (Y - e_y)
///     P = softmax(p),   Y = softmax(p - strength c)
///
/// Shapes    p, c, grad_p, grad_c: N x C, any strides; a gradient may be its own input. labels, row_loss, upstream, sample_weight: N.
///           weight: C.
/// Requires  shapes that agree, C >= 1, labels in [0, C) or ignore_index, outputs that share no memory, finite options, divisor > 0,
///           a row that counts for empty::error, finite weights >= 0, row_loss with reduction::none; else throws std::invalid_argument,
///           nothing written.
/// Numerics  with u = 2^-53, one rounding more to the type of an output, and d = 0 in double, 4M in narrower types, M the largest logits of
///           the two softmaxes, added: value and terms within u (32 S + 2d (w + S)), S the sum of their magnitudes, w that of their
///           weights; gradients within u (32 + 4d) of the sum of the magnitudes of their terms; strength c as rounded to double is meant.
///           Ignored row: 0, gradients 0. NaN or +inf in p, NaN or -inf in c, or every c +inf: the row NaN, reported. Row of -inf: NaN,
///           gradients 0, reported. p = -inf: class masked, c not read; the label's: +inf, gradients finite.
/// Cost      four passes over a row, one exp per element, pass and term; allocates nothing.
/// Source    Rao et al. 2021, Counterfactual Attention Learning, Eq. 5.
template <matrix P>
    requires logit<scalar_of<const P>> cal_result cal(const P& p, input<scalar_of<const P>> c, const label_view& labels,
                                                      const cal_options& options = {}, const cal_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 2> call("cal", {{{"p", view(p), "grad_p", arrays.grad_p}, {"c", c, "grad_c", arrays.grad_c}}}, labels,
                                             options, arrays);
        call.check.finite("strength", options.strength);
        call.check.finite("factual_weight", options.factual_weight);
        call.check.finite("corrected_weight", options.corrected_weight);
        return call.template run<cal_result>(kernel::cal_row{options}, &cal_result::cross_entropy, &cal_result::corrected);
    }

} // namespace car::inline CAR_ABI
