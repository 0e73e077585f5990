// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp" // the checks and rows of every member
#include "../detail/fusion.hpp" // h(p, q, v)

namespace car::inline CAR_ABI {

struct cf_vqa_options {
    enum fusion fusion = fusion::sum;
    double constant = 0; ///< what stands for a branch that is not looked at; learnt
    double question_weight = 1;
    double vision_weight = 1; ///< not read with fusion::gate, which has no vision branch
    double divergence_weight = 1;
    enum formula formula = formula::exact;
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct cf_vqa_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_q = {};                       ///< N x C
    matrix_view<T> grad_v = {};                       ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct cf_vqa_result : family_result {
    double cross_entropy = 0; ///< of h
    double question = 0;      ///< of q
    double vision = 0;        ///< of v
    double divergence = 0;    ///< CE(softmax h, h*), without its weight
    double grad_constant = 0; ///< d value / d constant; with reduction::none, of the sum of upstream row_loss
};

namespace kernel {

struct cf_vqa_row {
    const cf_vqa_options& options;

    template <class Row>
    scalar_row::family_terms<5> operator()(const Row& row) const noexcept {
        const bool looks = options.fusion != fusion::gate;
        const auto fuse = [&](double p, double q, double v) { return detail::fuse(options.fusion, options.formula, p, q, v); };
        const auto fact = [&](std::ptrdiff_t k) { return fuse(row(0, k), row(1, k), looks ? row(2, k) : 0); };
        const auto blind = [&](std::ptrdiff_t k) { return fuse(options.constant, row(1, k), options.constant); };
        const auto fused = row.predict([&](std::ptrdiff_t k) { return fact(k).value; });
        const auto direct = row.predict([&](std::ptrdiff_t k) { return fused.is_masked(k) ? -detail::infinity : blind(k).value; });
        const auto question = row.predict_input(1), vision = row.predict_input(looks ? 2 : 1);
        const fault what = scalar_row::first_fault(scalar_row::first_fault(fused.what(), direct.what()),
                                                   scalar_row::first_fault(question.what(), vision.what()));
        if (what != fault::none) return scalar_row::refused<5>(what);

        detail::compensated_sum divergence, to_constant;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            const double likely = fused.probability(k);
            if (likely != 0) divergence.add(likely * direct.surprise(k));
            if (direct.is_masked(k)) continue;
            const detail::fused slope = blind(k);
            to_constant.add(direct.minus(fused, k) * (slope.p + slope.v));
        }
        const double ce = fused.surprise(row.label), of_q = question.surprise(row.label), of_v = looks ? vision.surprise(row.label) : 0;
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double slope = fused.slope(k, row.label);
            const detail::fused h = fact(k);
            const double to_q = slope * h.q + options.question_weight * question.slope(k, row.label);
            const double to_v = looks ? slope * h.v + options.vision_weight * vision.slope(k, row.label) : 0;
            row.put(0, k, slope * h.p);
            row.put(1, k, to_q);
            row.put(2, k, to_v);
        }
        const double apart = divergence.value();
        using detail::part;
        return {ce + part(options.question_weight, of_q) + part(options.vision_weight, of_v) + part(options.divergence_weight, apart),
                {ce, of_q, of_v, apart, options.divergence_weight * to_constant.value()}};
    }
};

} // namespace kernel

/// Counterfactual VQA: what an answer owes to the question alone is learnt beside it, and taken off at test (car::fusion_effect).
///
///     row_loss = CE(h, y) + question_weight CE(q, y) + vision_weight CE(v, y) + divergence_weight CE(softmax(h), h*)
///     h = fusion(p, q, v),   h* = fusion(constant, q, constant)
///     dx = (softmax(h) - e_y) dh/dx + x_weight (softmax(x) - e_y),   x one of p, q, v, the weight of p being 0
///     dconstant = divergence_weight sum_k (softmax(h*)_k - softmax(h)_k) dh*_k/dconstant
///
/// In the last term softmax(h) and q are constants: the constant alone learns from it. The fusions are in car::fusion.
///
/// Shapes    p (of question and image together), q, v and their gradients: N x C; v may be an empty view with fusion::gate. The others
///           as car::cal. Where the branches have heads of their own, as in the program's default, give weights of 0 here and the
///           heads to car::loss.
/// Requires  as car::cal; finite options.
/// Numerics  as car::cal, M the sum of the largest |h|, |h*|, |p|, |q| and |v|, and d larger by 14 (1 + M). A NaN or +inf in any branch:
///           the row NaN, reported; -inf in one of them masks the class. as_published adds 1e-12 inside the logarithm of h: no class falls
///           below -27.6, none is masked by the fusion.
/// Cost      six passes over a row, up to twelve exp per element and pass; allocates nothing.
/// Source    Niu et al. 2021, Counterfactual VQA; the constant's term as in their program, where softmax(h) is detached.
template <matrix P>
    requires logit<scalar_of<const P>> cf_vqa_result cf_vqa(const P& p, input<scalar_of<const P>> q, input<scalar_of<const P>> v,
                                                            const label_view& labels, const cf_vqa_options& options = {},
                                                            const cf_vqa_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 3> call("cf_vqa",
                                             {{{"p", view(p), "grad_p", arrays.grad_p},
                                               {"q", q, "grad_q", arrays.grad_q},
                                               {"v", v, "grad_v", arrays.grad_v, 0, options.fusion == fusion::gate}}},
                                             labels, options, arrays);
        call.check.finite("constant", options.constant);
        call.check.finite("question_weight", options.question_weight);
        call.check.finite("vision_weight", options.vision_weight);
        call.check.finite("divergence_weight", options.divergence_weight);
        using result = cf_vqa_result;
        return call.template run<result>(kernel::cf_vqa_row{options}, &result::cross_entropy, &result::question, &result::vision,
                                         &result::divergence, kernel::family_term<result>{&result::grad_constant, std::true_type()});
    }

} // namespace car::inline CAR_ABI
