// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp" // the checks and rows of every member
#include "../detail/length.hpp" // of a row

namespace car::inline CAR_ABI {

/// How far apart two rows of logits are.
enum class pairing { squared, absolute, cosine };

struct logit_pairing_options {
    enum pairing pairing = pairing::squared;
    enum formula formula = formula::exact;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct logit_pairing_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_c = {};                       ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> sample_weight = {}; ///< N: 0 ignores a row
};

struct logit_pairing_result : family_result {};

namespace kernel {

struct logit_pairing_row {
    enum pairing pairing;
    formula how;

    template <class Row>
    scalar_row::family_terms<0> operator()(const Row& row) const noexcept {
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k)
            if (!std::isfinite(row(0, k)) || !std::isfinite(row(1, k))) return scalar_row::refused<0>(fault::not_finite);
        if (pairing == pairing::cosine) return cosine(row);
        const auto classes = static_cast<double>(row.classes());
        const bool squared = pairing == pairing::squared;
        detail::compensated_sum sum;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            const double d = row(0, k) - row(1, k);
            sum.add(squared ? d * d : std::abs(d));
        }
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double d = row(0, k) - row(1, k), slope = (squared ? 2 * d : d > 0 ? 1 : d < 0 ? -1 : 0) / classes;
            row.put(0, k, slope);
            row.put(1, k, -slope);
        }
        return {sum.value() / classes};
    }

  private:
    /// 1 - cos = |a - b|^2 / 2 of the unit vectors a and b: nothing cancels where they are nearly one.
    template <class Row>
    scalar_row::family_terms<0> cosine(const Row& row) const noexcept {
        const auto length_of = [&](std::size_t input) {
            return detail::length(0, row.classes(), [&](std::ptrdiff_t k) { return row(input, k); });
        };
        const detail::length p = length_of(0), c = length_of(1);
        const auto apart = [&](std::ptrdiff_t k) { return p.share(row(0, k)) - c.share(row(1, k)); };
        detail::compensated_sum sum;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) sum.add(apart(k) * apart(k));
        const double distance = sum.value() / 2;
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double d = apart(k), to_p = p.share(d - distance * p.share(row(0, k))), to_c = c.share(d + distance * c.share(row(1, k)));
            row.put(0, k, to_p);
            row.put(1, k, -to_c);
        }
        return {how == formula::exact ? distance : distance - 1};
    }
};

} // namespace kernel

/// Counterfactual logit pairing: a model should say the same of a sample and of its counterfactual.
///
///     squared    (1/C) sum_k (p_k - c_k)^2     dp_k = 2 (p_k - c_k) / C                   dc = -dp
///     absolute   (1/C) sum_k |p_k - c_k|       dp_k = sign(p_k - c_k) / C, 0 where equal  dc = -dp
///     cosine     1 - p.c / (|p| |c|)           dp = -(c/|c| - cos p/|p|) / |p|            dc = -(p/|p| - cos c/|c|) / |c|
///
/// Shapes    p, c, grad_p, grad_c: N x C; row_loss, upstream, sample_weight: N. There are no labels.
/// Requires  as car::cal.
/// Numerics  squared, absolute: value and gradients within 32u. cosine: value within 32u (value + its square root), gradients
///           within 32u (1 + that root) of 2 / |p| or 2 / |c|. Logits that are not finite, or a vector of zeros in cosine: the row NaN,
///           reported. as_published is the program's cosine, which lacks the 1.
/// Cost      two passes over a row, cosine six; allocates nothing.
/// Source    Garg et al. 2019, Counterfactual Fairness in Text Classification; the three distances as in TensorFlow's
///           model remediation.
template <matrix P>
    requires logit<scalar_of<const P>> logit_pairing_result logit_pairing(const P& p, input<scalar_of<const P>> c,
                                                                          const logit_pairing_options& options = {},
                                                                          const logit_pairing_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const matrix_view<const T> factual = view(p);
        const detail::family_call<T, 2> call("logit_pairing",
                                             {{{"p", factual, "grad_p", arrays.grad_p}, {"c", c, "grad_c", arrays.grad_c}}},
                                             detail::no_labels(factual.rows), options, arrays);
        return call.template run<logit_pairing_result>(kernel::logit_pairing_row{options.pairing, options.formula});
    }

} // namespace car::inline CAR_ABI
