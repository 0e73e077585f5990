// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/family.hpp"   // the checks and rows of every member
#include "../detail/logistic.hpp" // sigmoid, softplus

namespace car::inline CAR_ABI {

struct dragonnet_options {
    double treatment_weight = 1; ///< of the treatment's cross-entropy
    double targeted_weight = 1;  ///< of the targeted regularisation
    double epsilon = 0;          ///< of the targeted regularisation; learnt
    enum formula formula = formula::exact;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
};

template <class T>
struct dragonnet_arrays {
    vector_view<T> grad_y0 = {};                      ///< N
    vector_view<T> grad_y1 = {};                      ///< N
    vector_view<T> grad_propensity = {};              ///< N
    vector_view<term_of<T>> row_loss = {};            ///< N
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> sample_weight = {}; ///< N: 0 ignores a row
};

struct dragonnet_result : family_result {
    double outcome = 0;      ///< squared error of the arm that was seen
    double treatment = 0;    ///< cross-entropy of the treatment, without its weight
    double targeted = 0;     ///< targeted regularisation, without its weight
    double grad_epsilon = 0; ///< d value / d epsilon; with reduction::none, of the sum of upstream row_loss
};

namespace detail {

/// The vector whose type the others follow: a view, or what becomes one.
template <class T>
vector_view<const T> as_numbers(const vector_view<T>& v) {
    return v;
}
template <class R>
auto as_numbers(const R& range) {
    return as_vector(range);
}

} // namespace detail

namespace kernel {

struct dragonnet_row {
    const dragonnet_options& options;

    template <class Row>
    scalar_row::family_terms<4> operator()(const Row& row) const noexcept {
        for (std::size_t input = 0; input != 5; ++input)
            if (!std::isfinite(row(input, 0))) return scalar_row::refused<4>(fault::not_finite);
        const double y0 = row(0, 0), y1 = row(1, 0), logit = row(2, 0), y = row(3, 0), t = row(4, 0);
        const double e = detail::sigmoid(logit), rest = detail::sigmoid(-logit);
        const bool published = options.formula == formula::as_published;

        const double off0 = y - y0, off1 = y - y1;
        const double outcome = (1 - t) * off0 * off0 + t * off1 * off1;
        double treatment = share(t, detail::softplus(-logit)) + share(1 - t, detail::softplus(logit));
        double to_logit = (1 - t) * e - t * rest;
        if (published) {
            const double squeeze = 0.001, width = 1 + 2 * squeeze;
            treatment = detail::log(width) - t * detail::log(e + squeeze) - (1 - t) * detail::log(rest + squeeze);
            to_logit = e * rest * ((1 - t) / (rest + squeeze) - t / (e + squeeze));
        }
        // h = t/e - (1 - t)/(1 - e), and its slope.
        const double squeeze = published ? 0.01 : 0, width = 1 + 2 * squeeze;
        const double treated = share(t, width / (e + squeeze)), control = share(1 - t, width / (rest + squeeze));
        const double h = treated - control;
        const double bend = -(share(treated, rest * (e / (e + squeeze))) + share(control, e * (rest / (rest + squeeze))));
        const double off = t * off1 + (1 - t) * off0 - share(options.epsilon, h);
        const double force = -2 * options.targeted_weight * off;

        row.put(0, 0, (1 - t) * (force - 2 * off0));
        row.put(1, 0, t * (force - 2 * off1));
        row.put(2, 0, options.treatment_weight * to_logit + share(force * options.epsilon, bend));
        return {outcome + options.treatment_weight * treatment + options.targeted_weight * off * off,
                {outcome, treatment, off * off, share(force, h)}};
    }

  private:
    /// a b, where a is 0 whatever b is.
    static double share(double a, double b) { return a == 0 ? 0 : a * b; }
};

} // namespace kernel

/// DragonNet with targeted regularisation: both outcomes and the treatment from one network, and a term after which the plug-in
/// estimate of the effect solves the efficient influence function's equation.
///
///     row_loss = (1 - t)(y - y0)^2 + t (y - y1)^2 + treatment_weight BCE(t, e) + targeted_weight (y - y_t - epsilon h)^2
///     e = sigmoid(propensity),   y_t = t y1 + (1 - t) y0,   h = t/e - (1 - t)/(1 - e),   BCE = -t log e - (1 - t) log(1 - e)
///     r = y - y_t - epsilon h:   dy0 = -2 (1 - t)((y - y0) + targeted_weight r),   dy1 = -2 t ((y - y1) + targeted_weight r)
///     dpropensity = treatment_weight (e - t) + 2 targeted_weight r epsilon (t (1 - e)/e + (1 - t) e/(1 - e))
///     depsilon = -2 targeted_weight r h
///
/// Shapes    y0, y1, propensity (a logit), outcome, treatment and all arrays: N.
/// Requires  shapes that agree, outputs that share no memory, finite options and weights >= 0, divisor > 0, a row that counts for
///           empty::error, row_loss with reduction::none; else throws std::invalid_argument, nothing written.
/// Numerics  M = (|outcome| + |t y1| + |(1 - t) y0| + |t|/e + |1 - t|/(1 - e))^2: value and terms within 32u of the sum of their magnitudes
///           + M, gradients within 32u (1 + M) of that of their terms. A number that is not finite: the row NaN, reported. as_published
///           takes (e + 0.001)/1.002 in BCE and (e + 0.01)/1.02 in h, as the program does, which sums over rows (reduction::sum).
/// Cost      one pass; six exp or log a row; allocates nothing.
/// Source    Shi et al. 2019, Adapting Neural Networks for the Estimation of Treatment Effects; causalml.
template <class Y0, class T = std::remove_const_t<typename decltype(detail::as_numbers(std::declval<const Y0&>()))::element_type>>
    requires logit<T> dragonnet_result dragonnet(const Y0& y0, vector_view<const std::type_identity_t<T>> y1,
                                                 vector_view<const std::type_identity_t<T>> propensity,
                                                 vector_view<const std::type_identity_t<T>> outcome,
                                                 vector_view<const std::type_identity_t<T>> treatment,
                                                 const dragonnet_options& options = {}, const dragonnet_arrays<T>& arrays = {}) {
        const vector_view<const T> first = detail::as_numbers(y0);
        const detail::family_call<T, 5> call(
            "dragonnet",
            {{{"y0", detail::column(first), "grad_y0", detail::column(arrays.grad_y0)},
              {"y1", detail::column(y1), "grad_y1", detail::column(arrays.grad_y1)},
              {"propensity", detail::column(propensity), "grad_propensity", detail::column(arrays.grad_propensity)},
              {"outcome", detail::column(outcome), "", {}},
              {"treatment", detail::column(treatment), "", {}}}},
            detail::no_labels(first.size), options, arrays);
        call.check.finite("treatment_weight", options.treatment_weight);
        call.check.finite("targeted_weight", options.targeted_weight);
        call.check.finite("epsilon", options.epsilon);
        using result = dragonnet_result;
        return call.template run<result>(kernel::dragonnet_row{options}, &result::outcome, &result::treatment, &result::targeted,
                                         kernel::family_term<result>{&result::grad_epsilon, std::true_type()});
    }

} // namespace car::inline CAR_ABI
