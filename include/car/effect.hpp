// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/row_effect.hpp" // the checks, a row's effect, effect_options, effect_arrays

#include <algorithm> // std::max
#include <string>    // messages
#include <utility>   // std::pair
#include <vector>    // the classes of an accumulator

namespace car::inline CAR_ABI {

using effect_result = estimate;

/// P_effect: how much the actor gives to the label, as a paired mean over samples.
///
///     e[i] = s(p[i]) - mean_m s(c[m,i]),   s the label's softmax, log-odds or logit, or e[i] = mean_m KL(P[i] || softmax(p[i] - c[m,i]))
///     mean = sum w e / sum w,   standard_error^2 = n / (n - 1) sum w^2 (e - mean)^2 / (sum w)^2
///     lower, upper = mean -+ t(level, n - 1) standard_error, or as `interval` says
///
/// The sample is the unit: its draws are averaged first, for N M draws are not independent. With clusters, sums over a cluster take the
/// place of rows in the standard error, and n is their number.
///
/// Shapes    p (factual): N x C logits, any strides. c (counterfactual): (M N) x C, draw after draw. labels: N integers.
/// Requires  shapes that agree, C >= 1, labels in [0, C) or ignore_index, level in (0, 1), M >= 1; else throws std::invalid_argument.
/// Numerics  each e within 8 double roundings of 1 (probability), of 8 u (|s(p)| + |s(c)| + 1) (log-odds, logit), or as car::loss has it
///           (divergence); mean and standard error in double-double, so that no order of the rows shows.
///           A row without a finite effect makes the mean NaN and is reported.
/// Cost      two passes over a row and more by the scale, in cache where it fits; allocates nothing but the sums of clusters and of the
///           resamples of a bootstrap.
/// Source    OccludeNet, Eq. 1.
template <backend Backend, matrix P>
effect_result effect(const Backend& on, const P& p, input<scalar_of<const P>> c, const label_view& labels,
                     const effect_options& options = {}, const effect_arrays<scalar_of<const P>>& arrays = {}) {
    const detail::interval_options interval{options.level, options.interval};
    detail::check_effect(detail::checker("effect"), options);
    detail::mean_state state{detail::sample<2>({options.seed, detail::kept(interval, options.resamples)}), {}};
    const row_status status = detail::row_effects<scalar_of<const P>>(
        "effect", on, view(p), c, labels, options, arrays, [&](std::ptrdiff_t i, std::ptrdiff_t, double weight, double effect) {
            state.add(weight, effect, options.first_row + i, arrays.clusters, i);
        });
    effect_result result = state.result(interval);
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
/// Shapes    effects, weights: n, any stride.
/// Requires  level in (0, 1), as many weights as effects or none; else throws std::invalid_argument.
/// Numerics  mean and standard error in double-double. A NaN makes the result NaN.
/// Cost      each effect read once; allocates nothing but a bootstrap's resamples.
inline effect_result mean_effect(const vector_view<const double>& effects, const effect_options& options = {},
                                 const vector_view<const double>& weights = {}) {
    const detail::checker check("mean_effect");
    check.require(effects.size >= 0 && (effects.size == 0 || effects.data != nullptr), "effects is null or of negative size");
    detail::check_effect(check, options);
    if (weights) check.shape(detail::footprint_of("weights", weights), effects.size, 1);
    const detail::interval_options interval{options.level, options.interval};
    detail::mean_state all{detail::sample<2>({options.seed, detail::kept(interval, options.resamples)}), {}};
    for (std::ptrdiff_t i = 0; i != effects.size; ++i) {
        const double weight = weights ? weights[i] : 1;
        if (weight != 0) all.add(weight, effects[i], options.first_row + i, {}, i);
    }
    return all.result(interval);
}

/// P_effect over a stream of batches: overall, by class, and the mean over classes. Accumulators of shards merge.
///
///     macro: mean = sum over classes k that have rows of mean_k / their number,   standard_error^2 = sum SE_k^2 / their number^2
///
/// with Welch's degrees of freedom; a class of one row makes the macro standard error NaN. Rows of different classes are taken to be
/// independent: with clusters that span classes the macro interval is not theirs.
///
/// Requires  merging: the same number of classes and options, but for first_row.
/// Numerics  any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error).
/// Cost      112 bytes for every class, 32 more for each of its resamples, and the clusters; else `add` allocates nothing.
class effect_accumulator {
    effect_options options_;
    std::int64_t rows_ = 0;
    detail::mean_state all_;
    std::vector<detail::mean_state> classes_;

    detail::interval_options interval() const { return {options_.level, options_.interval}; }

  public:
    explicit effect_accumulator(std::ptrdiff_t classes, const effect_options& options = {}) : options_(options) {
        const detail::checker check("effect_accumulator");
        check.require(classes >= 1, "classes is less than 1");
        detail::check_effect(check, options);
        all_.data = detail::sample<2>({options.seed, detail::kept(interval(), options.resamples)});
        classes_.resize(static_cast<std::size_t>(classes), all_);
    }

    /// Adds a batch: as car::effect, C = classes. Its rows are numbered on from those that were added before, from first_row.
    template <matrix P>
    row_status add(const P& p, input<scalar_of<const P>> c, const label_view& labels,
                   const effect_arrays<scalar_of<const P>>& arrays = {}) {
        const matrix_view<const scalar_of<const P>> factual = view(p);
        if (factual.cols != classes())
            detail::checker("effect_accumulator::add")
                .fail("p has " + std::to_string(factual.cols) + " columns, expected " + std::to_string(classes()));
        detail::checker("effect_accumulator::add").same_units(factual.rows == 0 || all_.data.takes(arrays.clusters.data() != nullptr));
        const std::int64_t first = options_.first_row + rows_;
        const auto add_row = [&](std::ptrdiff_t i, std::ptrdiff_t label, double weight, double effect) {
            all_.add(weight, effect, first + i, arrays.clusters, i);
            classes_[static_cast<std::size_t>(label)].add(weight, effect, first + i, arrays.clusters, i);
        };
        const row_status status = detail::row_effects<scalar_of<const P>>("effect_accumulator::add", default_backend, factual, c, labels,
                                                                          options_, arrays, add_row);
        rows_ += factual.rows;
        return status;
    }

    void merge(const effect_accumulator& other) {
        const detail::checker check("effect_accumulator::merge");
        if (other.classes() != classes())
            check.fail("other has " + std::to_string(other.classes()) + " classes, expected " + std::to_string(classes()));
        const effect_options &a = options_, &b = other.options_;
        check.require(a.scale == b.scale && a.draws == b.draws && a.ignore_index == b.ignore_index && a.level == b.level &&
                          a.interval == b.interval && a.resamples == b.resamples && a.seed == b.seed,
                      "other has another scale, ignore_index, level, interval or number of draws or resamples, or another seed");
        check.same_units(all_.data.takes(other.all_.data));
        rows_ += other.rows_;
        all_.merge(other.all_);
        for (std::size_t k = 0; k != classes_.size(); ++k) classes_[k].merge(other.classes_[k]);
    }

    std::ptrdiff_t classes() const { return static_cast<std::ptrdiff_t>(classes_.size()); }
    effect_result result() const { return all_.result(interval()); }

    /// Requires  0 <= label < classes.
    effect_result of_class(std::ptrdiff_t label) const {
        if (label < 0 || label >= classes())
            detail::checker("effect_accumulator::of_class")
                .fail("label is " + std::to_string(label) + ", expected 0 to " + std::to_string(classes() - 1));
        return classes_[static_cast<std::size_t>(label)].result(interval());
    }

    effect_result macro() const { return detail::mean_of_groups(classes_, interval()); }
};

} // namespace car::inline CAR_ABI
