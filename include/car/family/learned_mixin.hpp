// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/expert.hpp"   // an answer alone
#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // softplus and its slope

namespace car::inline CAR_ABI {

struct learned_mixin_options {
    double entropy_weight = 0; ///< of the entropy of the scaled bias: learned mixin + H where it is not 0
    enum formula formula = formula::exact;
    double smoothing = 0; ///< as_published: added to the expert's probabilities, and learnt
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
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
    double cross_entropy = 0;  ///< of p + g bias
    double entropy = 0;        ///< of softmax(g bias), without its weight
    double grad_smoothing = 0; ///< as_published: d value / d smoothing; with reduction::none, of the sum of upstream row_loss
};

namespace kernel {

struct learned_mixin_row {
    const learned_mixin_options& options;

    template <class Row>
    scalar_row::family_terms<3> operator()(const Row& row) const noexcept {
        if (options.formula == formula::as_published) return answers(row);
        const double entropy_weight = options.entropy_weight;
        using Difference = typename Row::difference;
        const double opening = row(2, 0), g = detail::softplus(opening);
        if (!(g < detail::infinity)) return scalar_row::refused<3>(fault::not_finite);
        const auto scaled = [&](std::ptrdiff_t k) { return row(1, k) == -detail::infinity ? -detail::infinity : g * row(1, k); };
        const auto mixed = row.predict([&](std::ptrdiff_t k) {
            const double p = row(0, k);
            return p == -detail::infinity ? Difference{p} : detail::difference<Difference>(p, -scaled(k));
        });
        if (mixed.what() != fault::none) return scalar_row::refused<3>(mixed.what());
        const auto bias = row.predict(scaled);
        if (bias.what() != fault::none) return scalar_row::refused<3>(bias.what());

        // Measured from the likeliest class, and from the label: what is left of a sure row is not lost.
        const double likeliest = row(1, bias.whole.peak), of_label = bias.is_masked(row.label) ? 0 : row(1, row.label);
        detail::compensated_sum entropy, mean, to_gate;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            if (bias.is_masked(k)) continue;
            const double b = bias.probability(k);
            entropy.add(b * bias.surprise(k));
            mean.add(b * (row(1, k) - likeliest));
        }
        const double cross_entropy = mixed.surprise(row.label), h = entropy.value();
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
        return {entropy_weight == 0 ? cross_entropy : cross_entropy + entropy_weight * h, {cross_entropy, h, 0}};
    }

  private:
    /// Every answer alone: the sum of their cross-entropies, and the mean of the scaled expert's entropies.
    template <class Row>
    scalar_row::family_terms<3> answers(const Row& row) const noexcept {
        const double opening = row(2, 0), g = detail::softplus(opening), share = 1 / static_cast<double>(row.classes());
        detail::compensated_sum value, entropy, to_gate, to_smoothing;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            const detail::answer expert(row(1, k), options.smoothing);
            const bool right = k == row.label;
            const double said = expert.is_masked() ? -detail::infinity : g * expert.log_odds, z = row(0, k) + said;
            if (!(z < detail::infinity && (expert.is_masked() || std::isfinite(said)))) return scalar_row::refused<3>(fault::not_finite);
            const double slope = detail::binary_slope(z, right);
            value.add(detail::binary_entropy(z, right));
            row.put(0, k, slope);
            if (expert.is_masked()) {
                row.put(1, k, slope * g);
                continue;
            }
            const double yes = detail::sigmoid(said), no = detail::sigmoid(-said);
            entropy.add(share * (yes * detail::softplus(-said) + no * detail::softplus(said)));
            const double spread = yes * no, of_spread = -options.entropy_weight * share * said;
            const double along = slope + of_spread * spread; // d row / d said
            to_gate.add(along * expert.log_odds);
            to_smoothing.add(g * expert.to_smoothing(slope, detail::log_binary_slope(z, right)));
            to_smoothing.add(g * of_spread * expert.to_smoothing(spread, -detail::softplus(-said) - detail::softplus(said)));
            row.put(1, k, along * g * expert.to_bias);
        }
        row.put(2, 0, to_gate.value() * detail::sigmoid(opening));
        const double cross_entropy = value.value(), h = entropy.value();
        return {cross_entropy + options.entropy_weight * h, {cross_entropy, h, to_smoothing.value()}};
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
/// Numerics  as car::cal, d larger by 10 times the largest |g bias|. p or bias NaN or +inf, gate NaN or +inf: the row NaN, reported; -inf
///           in p or bias: class masked.
/// Cost      seven passes over a row; allocates nothing.
/// Source    Clark et al. 2019, Don't Take the Easy Way Out. as_published is their program for VQA, where each answer has a sigmoid of
///           its own: the sum over answers of the cross-entropy of sigmoid(p + g l), l = log(b + s) - log(1 - b + s), b = exp(bias), s
///           the smoothing, which learns, and entropy_weight times the mean over answers of the entropy of sigmoid(g l); bias at most 0.
///           grad_smoothing as in car::product_of_experts.
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
        detail::check_smoothing(call.check, options);
        using result = learned_mixin_result;
        return call.template run<result>(kernel::learned_mixin_row{options}, &result::cross_entropy, &result::entropy,
                                         kernel::family_term<result>{&result::grad_smoothing, std::true_type()});
    }

} // namespace car::inline CAR_ABI
