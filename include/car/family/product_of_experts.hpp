// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/expert.hpp" // an answer alone
#include "../detail/family.hpp" // the checks and rows of every member

namespace car::inline CAR_ABI {

struct product_of_experts_options {
    double strength = 1; ///< of the bias
    enum formula formula = formula::exact;
    double smoothing = 0; ///< as_published: added to the expert's probabilities, and learnt
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct product_of_experts_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    matrix_view<T> grad_bias = {};                    ///< N x C: for a bias that learns with the model
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct product_of_experts_result : family_result {
    double grad_smoothing = 0; ///< as_published: d value / d smoothing; with reduction::none, of the sum of upstream row_loss
};

namespace kernel {

struct product_of_experts_row {
    const product_of_experts_options& options;

    template <class Row>
    scalar_row::family_terms<1> operator()(const Row& row) const noexcept {
        if (options.formula == formula::as_published) return answers(row);
        const double strength = options.strength;
        using Difference = typename Row::difference;
        const auto product = row.predict([&](std::ptrdiff_t k) {
            const double p = row(0, k), bias = row(1, k);
            if (p == -detail::infinity || bias == -detail::infinity) return Difference{-detail::infinity};
            return detail::difference<Difference>(p, -strength * bias);
        });
        if (product.what() != fault::none) return scalar_row::refused<1>(product.what());
        const double value = product.surprise(row.label);
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k) {
            const double slope = product.slope(k, row.label);
            row.put(0, k, slope);
            row.put(1, k, strength * slope);
        }
        return {value, {0}};
    }

  private:
    /// Every answer alone: the sum of their cross-entropies.
    template <class Row>
    scalar_row::family_terms<1> answers(const Row& row) const noexcept {
        detail::compensated_sum value, to_smoothing;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            const detail::answer expert(row(1, k), options.smoothing);
            const bool right = k == row.label;
            const double said = expert.is_masked() ? -detail::infinity : options.strength * expert.log_odds;
            const double z = row(0, k) + said, slope = detail::binary_slope(z, right);
            if (!(z < detail::infinity)) return scalar_row::refused<1>(fault::not_finite);
            value.add(detail::binary_entropy(z, right));
            if (!expert.is_masked()) to_smoothing.add(options.strength * expert.to_smoothing(slope, detail::log_binary_slope(z, right)));
            row.put(0, k, slope);
            row.put(1, k, slope * options.strength * expert.to_bias);
        }
        return {value.value(), {to_smoothing.value()}};
    }
};

template <class T>
product_of_experts_result product_of_experts(const char* op, const char* name, const matrix_view<const T>& p,
                                             const matrix_view<const T>& bias, const label_view& labels,
                                             const product_of_experts_options& options, const product_of_experts_arrays<T>& arrays) {
    const detail::family_call<T, 2> call(op, {{{"p", p, "grad_p", arrays.grad_p}, {name, bias, "grad_bias", arrays.grad_bias}}}, labels,
                                         options, arrays);
    call.check.finite("strength", options.strength);
    detail::check_smoothing(call.check, options);
    using result = product_of_experts_result;
    return call.template run<result>(product_of_experts_row{options}, family_term<result>{&result::grad_smoothing, std::true_type()});
}

} // namespace kernel

/// Product of experts: the model learns what a biased expert has not said already. At test, p alone predicts.
///
///     row_loss = CE(log softmax(p) + strength bias, y) = CE(p + strength bias, y),   bias = log of the expert's probabilities
///     dp = F - e_y,   dbias = strength (F - e_y),   F = softmax(p + strength bias)
///
/// Shapes    p, bias, grad_p, grad_bias: N x C; the others as car::cal.
/// Requires  as car::cal; strength finite.
/// Numerics  as car::cal; strength bias as rounded to double is meant. A class of -inf in p or bias is masked; NaN or +inf in either:
///           the row NaN, reported.
/// Cost      four passes over a row; allocates nothing.
/// Source    Clark et al. 2019, Don't Take the Easy Way Out; Hinton 2002. as_published is their program for VQA, where each answer has
///           a sigmoid of its own: the sum over answers of the cross-entropy of sigmoid(p + log(b + s) - log(1 - b + s)), b = exp(bias),
///           s the smoothing, which learns; bias at most 0. grad_smoothing loses u |bias| more where b is less than normal.
template <matrix P>
    requires logit<scalar_of<const P>>
        product_of_experts_result product_of_experts(const P& p, input<scalar_of<const P>> bias, const label_view& labels,
                                                     const product_of_experts_options& options = {},
                                                     const product_of_experts_arrays<scalar_of<const P>>& arrays = {}) {
        return kernel::product_of_experts<scalar_of<const P>>("product_of_experts", "bias", view(p), bias, labels, options, arrays);
    }

/// Logit adjustment: cross-entropy with the logarithms of the classes' shares added, so that the logits alone are those of balanced
/// classes. It is product_of_experts with one bias for all rows.
///
///     row_loss = CE(p + strength log_prior, y),   dp = F - e_y,   F = softmax(p + strength log_prior)
///
/// Shapes    p, grad_p: N x C. log_prior: C. The others as car::cal; grad_bias must not be given.
/// Requires  as car::cal; strength (tau) finite.
/// Numerics  as product_of_experts: a class whose share is 0 is masked.
/// Cost      as product_of_experts.
/// Source    Menon et al. 2021, Long-tail Learning via Logit Adjustment, Eq. 10.
template <matrix P>
    requires logit<scalar_of<const P>>
        product_of_experts_result logit_adjusted(const P& p, vector_view<const std::type_identity_t<scalar_of<const P>>> log_prior,
                                                 const label_view& labels, const product_of_experts_options& options = {},
                                                 const product_of_experts_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::checker check("logit_adjusted");
        const matrix_view<const T> logits = view(p);
        check.shape(detail::footprint_of("log_prior", log_prior), logits.cols, 1);
        check.require(!arrays.grad_bias, "grad_bias is given, expected none: log_prior is a constant");
        check.require(options.formula == formula::exact, "formula is as_published, expected exact: there is no other");
        const matrix_view<const T> every_row(log_prior.data, logits.rows, logits.cols, 0, log_prior.stride);
        return kernel::product_of_experts<T>("logit_adjusted", "log_prior", logits, every_row, labels, options, arrays);
    }

} // namespace car::inline CAR_ABI
