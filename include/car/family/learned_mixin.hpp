// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // softplus and its slope

namespace car::inline CAR_ABI {

struct learned_mixin_options {
    double entropy_weight = 0; ///< of the entropy of the scaled bias: learned mixin + H where it is not 0
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
};

template <class T>
struct learned_mixin_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_bias = {};                    ///< N x C
    vector_view<T> grad_gate = {};                    ///< N
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct learned_mixin_result : family_result {
    double cross_entropy = 0; ///< of p + g bias
    double entropy = 0;       ///< of softmax(g bias), without its weight
};

namespace kernel {

struct learned_mixin_row {
    double entropy_weight;

    template <class T>
    scalar_row::family_terms<2> operator()(const scalar_row::family_row<T, 3>& row) const noexcept {
        using Difference = typename scalar_row::family_row<T, 3>::difference;
        const double opening = row(2, 0), g = detail::softplus(opening);
        const auto scaled = [&](std::ptrdiff_t k) { return row(1, k) == -detail::infinity ? -detail::infinity : g * row(1, k); };
        const auto mixed = scalar_row::predict<Difference>(row.classes(), [&](std::ptrdiff_t k) {
            const double p = row(0, k);
            return p == -detail::infinity ? Difference{p} : detail::difference<Difference>(p, -scaled(k));
        });
        if (mixed.what() != fault::none) return scalar_row::refused<2>(mixed.what());
        const auto bias = scalar_row::predict<Difference>(row.classes(), scaled);
        if (bias.what() != fault::none) return scalar_row::refused<2>(bias.what());

        // Measured from the likeliest class, and from the label: what is left of a sure row is not lost.
        const double likeliest = row(1, bias.whole.peak), of_label = bias.is_masked(row.label) ? 0 : row(1, row.label);
        detail::compensated_sum entropy, mean, to_gate;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            if (bias.is_masked(k)) continue;
            const double b = bias.probability(k);
            entropy.add(b * bias.surprise(k));
            mean.add(b * (row(1, k) - likeliest));
        }
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double slope = mixed.slope(k, row.label);
            double turn = 0;
            if (!bias.is_masked(k)) {
                const double b = row(1, k);
                turn = -entropy_weight * bias.probability(k) * (g * ((b - likeliest) - mean.value()));
                to_gate.add((b - of_label) * slope);
                to_gate.add((b - likeliest) * turn);
            }
            row.put(0, k, slope);
            row.put(1, k, g * (slope + turn));
        }
        const double slope_of_gate = to_gate.value() * detail::sigmoid(opening);
        row.put(2, 0, slope_of_gate);
        const double cross_entropy = mixed.surprise(row.label), h = entropy.value();
        return {entropy_weight == 0 ? cross_entropy : cross_entropy + entropy_weight * h, {cross_entropy, h}};
    }
};

} // namespace kernel

/// Learned mixin: a product of experts in which the model says, row by row, how far the biased expert is to be believed; and, with an
/// entropy weight, is kept from ignoring it (learned mixin + H).
///
///     row_loss = CE(p + g bias, y) + entropy_weight H(B),   g = softplus(gate),   B = softmax(g bias),   H(B) = -sum_k B_k log B_k
///     dp = F - e_y,   F = softmax(p + g bias)
///     dbias_k = g (F_k - [k = y] + t_k),   t_k = -entropy_weight B_k (g bias_k - E_B[g bias]),   dgate = sigmoid(gate) sum_k bias_k
///     (F_k - [k = y] + t_k)
///
/// Shapes    p, bias (log-probabilities), grad_p, grad_bias: N x C. gate, grad_gate: N. The others as car::cal.
/// Requires  as car::cal; entropy_weight finite.
/// Numerics  M the largest |g bias|: as car::rubi. p or bias NaN or +inf, gate NaN or +inf: the row NaN, reported; -inf in p or bias:
///           class masked.
/// Cost      seven passes over a row; allocates nothing.
/// Source    Clark et al. 2019, Don't Take the Easy Way Out. Their published program mixes answer by answer, of
///           sigmoids, after adding a learnt constant to the probabilities; the softmax here is the paper's.
template <matrix P>
    requires logit<scalar_of<const P>> learned_mixin_result learned_mixin(const P& p, input<scalar_of<const P>> bias,
                                                                          vector_view<const std::type_identity_t<scalar_of<const P>>> gate,
                                                                          const label_view& labels,
                                                                          const learned_mixin_options& options = {},
                                                                          const learned_mixin_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 3> call("learned_mixin",
                                             {{{"p", view(p), "grad_p", arrays.grad_p},
                                               {"bias", bias, "grad_bias", arrays.grad_bias},
                                               {"gate", detail::column(gate), "grad_gate", detail::column(arrays.grad_gate), 1}}},
                                             labels, options, arrays);
        call.check.finite("entropy_weight", options.entropy_weight);
        return call.template run<learned_mixin_result>(kernel::learned_mixin_row{options.entropy_weight},
                                                       &learned_mixin_result::cross_entropy, &learned_mixin_result::entropy);
    }

} // namespace car::inline CAR_ABI
