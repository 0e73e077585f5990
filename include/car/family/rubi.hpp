// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // sigmoid

namespace car::inline CAR_ABI {

struct rubi_options {
    double question_weight = 1; ///< of CE(q_out); with 0, q_out may be an empty view
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct rubi_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_q = {};                       ///< N x C
    matrix_view<T> grad_q_out = {};                   ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct rubi_result : family_result {
    double cross_entropy = 0; ///< of p sigmoid(q)
    double question = 0;      ///< cross-entropy of q_out
};

namespace kernel {

struct rubi_row {
    double question_weight;

    template <class Row>
    scalar_row::family_terms<2> operator()(const Row& row) const noexcept {
        const auto decay = row.exponentials([&](std::ptrdiff_t k) { return -std::abs(row(1, k)); });
        const auto gated = row.predict([&](std::ptrdiff_t k) {
            const double p = row(0, k);
            return p == -detail::infinity ? p : p * detail::sigmoid(row(1, k), decay(k));
        });
        if (gated.what() != fault::none) return scalar_row::refused<2>(gated.what());
        const bool asks = question_weight != 0;
        const auto question = row.predict_input(asks ? 2 : 0);
        if (question.what() != fault::none) return scalar_row::refused<2>(question.what());

        const double fused = gated.surprise(row.label), alone = asks ? question.surprise(row.label) : 0;
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double p = row(0, k), q = row(1, k), slope = gated.slope(k, row.label), e = decay(k), gate = detail::sigmoid(q, e);
            const double to_question = asks ? question_weight * question.slope(k, row.label) : 0;
            row.put(0, k, slope * gate);
            row.put(1, k, p == -detail::infinity ? 0 : slope * p * gate * detail::sigmoid(-q, e));
            row.put(2, k, to_question);
        }
        return {asks ? fused + question_weight * alone : fused, {fused, alone}};
    }
};

} // namespace kernel

/// RUBi: the logits are gated by those of a model of the question alone, so that an answer which the question gives away teaches little.
/// At test, p alone predicts.
///
///     row_loss = CE(p sigmoid(q), y) + question_weight CE(q_out, y)
///     dp = (F - e_y) sigmoid(q),   dq = (F - e_y) p sigmoid(q) sigmoid(-q),   dq_out = question_weight (softmax(q_out) - e_y)
///     F = softmax(p sigmoid(q))
///
/// Shapes    p, q, q_out and their gradients: N x C; the others as car::cal.
/// Requires  as car::cal; question_weight finite.
/// Numerics  as car::cal, d larger by 10 times the largest |p sigmoid(q)|. p or q_out NaN or +inf, or q NaN: the row NaN, reported; p =
///           -inf: class masked, its gate's gradient 0.
/// Cost      four passes over a row, three exp per element and pass; allocates nothing.
/// Source    Cadene et al. 2019, RUBi. Their program sends no gradient from q into the encoder of the question: the
///           caller's step.
template <matrix P>
    requires logit<scalar_of<const P>> rubi_result rubi(const P& p, input<scalar_of<const P>> q, input<scalar_of<const P>> q_out,
                                                        const label_view& labels, const rubi_options& options = {},
                                                        const rubi_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 3> call("rubi",
                                             {{{"p", view(p), "grad_p", arrays.grad_p},
                                               {"q", q, "grad_q", arrays.grad_q},
                                               {"q_out", q_out, "grad_q_out", arrays.grad_q_out, 0, options.question_weight == 0}}},
                                             labels, options, arrays);
        call.check.finite("question_weight", options.question_weight);
        return call.template run<rubi_result>(kernel::rubi_row{options.question_weight}, &rubi_result::cross_entropy,
                                              &rubi_result::question);
    }

} // namespace car::inline CAR_ABI
