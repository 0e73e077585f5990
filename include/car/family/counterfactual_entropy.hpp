// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // softplus

namespace car::inline CAR_ABI {

/// What a counterfactual should be predicted as: anything but the label, every class alike, every other class alike.
enum class counterfactual_target { not_label, uniform, uniform_others };

struct counterfactual_entropy_options {
    enum counterfactual_target target = counterfactual_target::not_label;
    enum formula formula = formula::exact;
    std::int64_t ignore_index = -100;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct counterfactual_entropy_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class
    vector_view<const term_of<T>> sample_weight = {}; ///< N
};

struct counterfactual_entropy_result : family_result {};

namespace kernel {

struct counterfactual_entropy_row {
    counterfactual_target target;
    formula how;

    static constexpr double published_floor = 1e-20; ///< added to a sum of exp(p - max)

    template <class Row>
    scalar_row::family_terms<0> operator()(const Row& row) const noexcept {
        const auto all = row.predict_input(0);
        if (all.what() != fault::none) return scalar_row::refused<0>(all.what());
        return target == counterfactual_target::not_label ? not_label(row, all) : uniform(row, all);
    }

  private:
    /// -log(1 - P_y) = softplus(p_y - log sum of the other exp p_k)
    template <class Row, class Prediction>
    scalar_row::family_terms<0> not_label(const Row& row, const Prediction& all) const noexcept {
        const auto others = row.predict([&](std::ptrdiff_t k) { return k == row.label ? -detail::infinity : row(0, k); });
        const bool any = others.what() == fault::none;
        const double lead = !any ? detail::infinity : all.is_masked(row.label) ? -detail::infinity : -others.distance(row(0, row.label));
        double value = detail::softplus(lead), to_label = detail::sigmoid(lead), to_others = to_label;
        if (how == formula::as_published && row.classes() != 2) {
            const double sum = all.whole.state.sum(), rest = any ? sum * detail::sigmoid(-lead) : 0;
            value = detail::log(sum + published_floor) - detail::log(rest + published_floor);
            // In exp(p): d value / d e_y = 1/(sum + floor), d value / d e_k = that - 1/(rest + floor).
            to_label = all.probability(row.label) * sum / (sum + published_floor);
            to_others = rest * (1 / (rest + published_floor) - 1 / (sum + published_floor));
        }
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k)
            row.put(0, k, k == row.label ? to_label : any ? -to_others * others.probability(k) : 0);
        return {value};
    }

    /// Over the classes that are not masked.
    template <class Row, class Prediction>
    scalar_row::family_terms<0> uniform(const Row& row, const Prediction& all) const noexcept {
        const auto counts = [&](std::ptrdiff_t k) {
            return !all.is_masked(k) && (target == counterfactual_target::uniform || k != row.label);
        };
        detail::compensated_sum sum;
        double classes = 0;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            if (!counts(k)) continue;
            sum.add(all.surprise(k));
            ++classes;
        }
        for (std::ptrdiff_t k = 0; row.wants_gradients() && k != row.classes(); ++k)
            row.put(0, k, counts(k) && classes == 1 ? all.slope(k, k) : all.probability(k) - (counts(k) ? 1 / classes : 0));
        return {sum.value() / classes};
    }
};

} // namespace kernel

/// Cross-entropy of a counterfactual sample: one that has lost what makes it a member of its class should not be predicted as that.
///
///     not_label        -log(1 - P_y)                        dp_y = P_y,   dp_k = -P_y P_k / (1 - P_y)
///     uniform          -(1/C) sum_k log P_k                 dp_k = P_k - 1/C
///     uniform_others   -(1/(C-1)) sum_{k != y} log P_k      dp_k = P_k - [k != y]/(C-1)
///
/// with P = softmax(p), 1 - P_y as the sum of the others, and C the classes that are not masked.
///
/// Shapes    p, grad_p: N x C; the others as car::cal.
/// Requires  as car::cal.
/// Numerics  as car::cal; with not_label d is larger by 8 (|p_y - log sum of the other exp p| + 2 log C). A label that alone is live: +inf
///           (not_label), NaN and reported (uniform_others). as_published adds 1e-20 to both sums of exp(p - max) of not_label unless p
///           has 2 columns, as the program does: the loss then stops near 46 and its gradient fades where P_y is nearest to 1.
/// Cost      four passes over a row; allocates nothing.
/// Source    Chang et al. 2021, Towards Robust Classification Model by Counterfactual and Invariant Data Generation.
template <matrix P>
    requires logit<scalar_of<const P>>
        counterfactual_entropy_result counterfactual_entropy(const P& p, const label_view& labels,
                                                             const counterfactual_entropy_options& options = {},
                                                             const counterfactual_entropy_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const detail::family_call<T, 1> call("counterfactual_entropy", {{{"p", view(p), "grad_p", arrays.grad_p}}}, labels, options,
                                             arrays);
        return call.template run<counterfactual_entropy_result>(kernel::counterfactual_entropy_row{options.target, options.formula});
    }

} // namespace car::inline CAR_ABI
