// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"         // policies
#include "detail/check.hpp"    // shapes, labels, overlaps
#include "detail/moments.hpp"  // count, mean, standard error
#include "detail/quantile.hpp" // the width of an interval
#include "kernel/effect.hpp"   // the backends' kernels
#include "options.hpp"         // effect_options, effect_arrays, effect_result

#include <cmath>  // std::isnan
#include <string> // messages
#include <vector> // the classes of an accumulator

namespace car::inline CAR_ABI {

namespace detail {

inline effect_result summary(const moments& effects, const effect_options& options) {
    effect_result result{.mean = effects.mean(), .standard_error = effects.standard_error(), .count = effects.count()};
    double width = std::numeric_limits<double>::quiet_NaN();
    if (effects.count() > 1) {
        width =
            options.interval == interval::normal ? normal_quantile(options.level) : student_t_quantile(options.level, effects.count() - 1);
    }
    result.lower = result.mean - width * result.standard_error;
    result.upper = result.mean + width * result.standard_error;
    return result;
}

inline void check_effect(const checker& check, const effect_options& options) {
    if (!(options.level > 0 && options.level < 1))
        check.fail("level is " + std::to_string(options.level) + ", expected a number between 0 and 1");
}

/// Checks a batch, then gives every row that is not ignored to `each(label, effect)`.
template <class T, backend Backend, class Each>
row_status row_effects(const char* op, const Backend& on, const matrix_view<const T>& p, const matrix_view<const T>& c,
                       const label_view& labels, const effect_options& options, const vector_view<T>& row_effect, Each each) {
    const checker check(op);
    check.readable(footprint_of("p", p));
    check.shape(footprint_of("c", c), p.rows, p.cols);
    if (row_effect) check.shape(footprint_of("row_effect", row_effect), p.rows, 1);
    check_effect(check, options);
    check.labels(labels, p.rows, p.cols, options.ignore_index);
    check.separate({{footprint_of("row_effect", row_effect)}},
                   {footprint_of("p", p), footprint_of("c", c), footprint_of("labels", labels)});
    row_status status;
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        double effect = 0;
        if (labels[i] != options.ignore_index) {
            const auto label = static_cast<std::ptrdiff_t>(labels[i]);
            effect = kernel::probability(on, p.row(i), label) - kernel::probability(on, c.row(i), label);
            each(label, effect);
            if (std::isnan(effect) && status.rows++ == 0) status = {fault::not_finite, i, 1};
        }
        if (row_effect) row_effect[i] = static_cast<T>(effect);
    }
    return status;
}

} // namespace detail

/// P_effect: how much probability the actor gives to the label, as a paired mean over samples.
///
///     e[i] = softmax(p[i])[labels[i]] - softmax(c[i])[labels[i]],   mean = sum e / n,   standard_error = sd(e) / sqrt(n)
///     lower, upper = mean -+ t(level, n - 1) standard_error
///
/// Shapes    p (factual), c (counterfactual): N x C logits, any strides. labels: N integers. row_effect: N, optional.
/// Requires  shapes that agree, C >= 1, labels in [0, C) or ignore_index, level in (0, 1); else throws std::invalid_argument.
/// Numerics  each e within 8 double roundings of 1; mean and standard error in double-double, so that no order of the rows shows.
///           A row with a NaN, a +inf or no live class makes the mean NaN and is reported.
/// Cost      each input read once from memory; allocates nothing.
/// Source    OccludeNet, Eq. 1.
template <backend Backend, matrix P>
effect_result effect(const Backend& on, const P& p, input<scalar_of<const P>> c, const label_view& labels,
                     const effect_options& options = {}, const effect_arrays<scalar_of<const P>>& arrays = {}) {
    detail::moments effects;
    const auto add = [&](std::ptrdiff_t, double effect) { effects.add(effect); };
    const row_status status = detail::row_effects<scalar_of<const P>>("effect", on, view(p), c, labels, options, arrays.row_effect, add);
    effect_result result = detail::summary(effects, options);
    result.status = status;
    return result;
}

template <matrix P>
effect_result effect(const P& p, input<scalar_of<const P>> c, const label_view& labels, const effect_options& options = {},
                     const effect_arrays<scalar_of<const P>>& arrays = {}) {
    return effect(default_backend, p, c, labels, options, arrays);
}

/// The mean of effects that are there already, one for each sample: differences of two treatments, for example.
///
///     mean = sum e / n,   standard_error = sd(e) / sqrt(n),   lower, upper = mean -+ t(level, n - 1) standard_error
///
/// Shapes    effects: n, any stride.
/// Requires  level in (0, 1); else throws std::invalid_argument.
/// Numerics  mean and standard error in double-double. A NaN makes the result NaN.
/// Cost      each effect read once; allocates nothing.
inline effect_result mean_effect(const vector_view<const double>& effects, const effect_options& options = {}) {
    const detail::checker check("mean_effect");
    check.require(effects.size >= 0 && (effects.size == 0 || effects.data != nullptr), "effects is null or of negative size");
    detail::check_effect(check, options);
    detail::moments all;
    for (std::ptrdiff_t i = 0; i != effects.size; ++i) all.add(effects[i]);
    return detail::summary(all, options);
}

/// P_effect over a stream of batches, overall and by class. Accumulators of shards merge.
///
/// Numerics  any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error).
/// Cost      40 bytes for every class; `add` allocates nothing.
class effect_accumulator {
    effect_options options_;
    detail::moments all_;
    std::vector<detail::moments> classes_;

  public:
    explicit effect_accumulator(std::ptrdiff_t classes, const effect_options& options = {}) : options_(options) {
        const detail::checker check("effect_accumulator");
        check.require(classes >= 1, "classes is less than 1");
        detail::check_effect(check, options);
        classes_.resize(static_cast<std::size_t>(classes));
    }

    /// Adds a batch: as car::effect, C = classes.
    template <matrix P>
    row_status add(const P& p, input<scalar_of<const P>> c, const label_view& labels) {
        const matrix_view<const scalar_of<const P>> factual = view(p);
        if (factual.cols != classes())
            detail::checker("effect_accumulator::add")
                .fail("p has " + std::to_string(factual.cols) + " columns, expected " + std::to_string(classes()));
        return detail::row_effects<scalar_of<const P>>("effect_accumulator::add", default_backend, factual, c, labels, options_, {},
                                                       [&](std::ptrdiff_t label, double effect) {
                                                           all_.add(effect);
                                                           classes_[static_cast<std::size_t>(label)].add(effect);
                                                       });
    }

    void merge(const effect_accumulator& other) {
        if (other.classes() != classes())
            detail::checker("effect_accumulator::merge")
                .fail("other has " + std::to_string(other.classes()) + " classes, expected " + std::to_string(classes()));
        all_.merge(other.all_);
        for (std::size_t k = 0; k != classes_.size(); ++k) classes_[k].merge(other.classes_[k]);
    }

    std::ptrdiff_t classes() const { return static_cast<std::ptrdiff_t>(classes_.size()); }
    effect_result result() const { return detail::summary(all_, options_); }

    /// Requires  0 <= label < classes.
    effect_result of_class(std::ptrdiff_t label) const {
        if (label < 0 || label >= classes())
            detail::checker("effect_accumulator::of_class")
                .fail("label is " + std::to_string(label) + ", expected 0 to " + std::to_string(classes() - 1));
        return detail::summary(classes_[static_cast<std::size_t>(label)], options_);
    }
};

} // namespace car::inline CAR_ABI
