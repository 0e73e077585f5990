// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../options.hpp" // what is checked
#include "arithmetic.hpp" // compensated_sum
#include "check.hpp"      // shapes, finite numbers

#include <cmath>  // std::isfinite
#include <string> // messages

namespace car::inline CAR_ABI::detail {

/// What the loss of a row counts for; 0 where the row is ignored. The label of an ignored row is not looked at.
template <class T>
double row_weight(const targets<T>& labels, const loss_arrays<T>& arrays, std::int64_t ignore_index, std::ptrdiff_t i) {
    if (arrays.row_mask && !arrays.row_mask[i]) return 0;
    if (!labels.are_probabilities() && labels.indices()[i] == ignore_index) return 0;
    const double weight = arrays.sample_weight ? static_cast<double>(arrays.sample_weight[i]) : 1;
    if (!arrays.weight || weight == 0) return weight;
    if (!labels.are_probabilities()) return weight * static_cast<double>(arrays.weight[static_cast<std::ptrdiff_t>(labels.indices()[i])]);
    compensated_sum mean;
    for (std::ptrdiff_t k = 0; k != arrays.weight.size; ++k)
        mean.add(static_cast<double>(labels.probabilities()(i, k)) * static_cast<double>(arrays.weight[k]));
    return weight * (std::isfinite(mean.value()) ? mean.value() : 1); // a row without an answer is no row without a weight
}

template <class T>
void check_targets(const checker& check, const targets<T>& labels, const loss_arrays<T>& arrays, std::int64_t ignore_index,
                   std::ptrdiff_t rows, std::ptrdiff_t classes) {
    if (labels.are_probabilities()) {
        check.shape(footprint_of("labels", labels.probabilities()), rows, classes);
        return;
    }
    check.labels(labels.indices(), rows, classes, ignore_index, [&](std::ptrdiff_t i) {
        return (arrays.row_mask && !arrays.row_mask[i]) || (arrays.sample_weight && arrays.sample_weight[i] == 0);
    });
}

template <class T>
void check_weights(const checker& check, const char* name, const vector_view<const T>& weights, std::ptrdiff_t size) {
    if (!weights) return;
    check.shape(footprint_of(name, weights), size, 1);
    for (std::ptrdiff_t i = 0; i != size; ++i)
        if (!(weights[i] >= 0 && std::isfinite(weights[i])))
            check.fail(std::string(name) + " at " + std::to_string(i) + " is " + std::to_string(weights[i]) +
                       ", expected a finite number that is not negative");
}

inline void check_loss_options(const checker& check, const loss_options& options) {
    check.finite("alpha", options.alpha);
    check.finite("strength", options.strength);
    check.positive("temperature", options.temperature);
    check.positive("logit_scale", options.logit_scale);
    if (options.softcap) check.positive("softcap", *options.softcap);
    if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
        check.fail("label_smoothing is " + std::to_string(options.label_smoothing) + ", expected a number from 0 to 1");
    check.finite("z_weight", options.z_weight);
    if (options.divisor) check.positive("divisor", *options.divisor);
    check.require(options.kl_target == kl_target::prediction || options.flow == flow::full || options.flow == flow::stop_counterfactual,
                  "flow is one that kl_target::label does not have, expected full or stop_counterfactual");
}

/// What every derivative of the loss asks of its inputs and options.
template <class T>
void check_loss(const checker& check, const matrix_view<const T>& p, const matrix_view<const T>& c, bool reads_c, const targets<T>& labels,
                const loss_options& options, const loss_arrays<T>& arrays) {
    check.readable(footprint_of("p", p));
    if (reads_c || c.data != nullptr) check.shape(footprint_of("c", c), p.rows, p.cols);
    if (arrays.upstream) check.shape(footprint_of("upstream", arrays.upstream), p.rows, 1);
    if (arrays.row_mask) check.shape(footprint_of("row_mask", arrays.row_mask), p.rows, 1);
    if (arrays.class_mask) check.shape(footprint_of("class_mask", arrays.class_mask), p.cols, 1);
    check_weights(check, "weight", arrays.weight, p.cols);
    check_weights(check, "sample_weight", arrays.sample_weight, p.rows);

    check_loss_options(check, options);
    check_targets(check, labels, arrays, options.ignore_index, p.rows, p.cols);
    if (options.empty == empty::error && options.reduction == reduction::mean && !options.divisor) {
        bool counted = false;
        for (std::ptrdiff_t i = 0; i != p.rows && !counted; ++i) counted = row_weight(labels, arrays, options.ignore_index, i) != 0;
        check.require(counted, "labels are all ignored, expected at least one row for the mean");
    }
}

/// The outputs of a call: each has its shape, and shares no memory with another, nor with an input but the one whose place it may take.
template <class T>
class loss_outputs {
    const checker& check_;
    std::ptrdiff_t rows_, classes_;
    gradients how_;

  public:
    loss_outputs(const checker& check, const matrix_view<const T>& p, const loss_options& options)
        : check_(check), rows_(p.rows), classes_(p.cols), how_(options.gradients) {}

    checker::output matrix(const char* name, const matrix_view<T>& m, const void* in_place_of) const {
        if (m) check_.shape(footprint_of(name, m), rows_, classes_);
        return {footprint_of(name, m), how_ == gradients::overwrite ? in_place_of : nullptr};
    }
    template <class Term>
    checker::output terms(const char* name, const vector_view<Term>& v) const {
        if (v) check_.shape(footprint_of(name, v), rows_, 1);
        return {footprint_of(name, v)};
    }
    void apart(std::initializer_list<checker::output> outputs, const matrix_view<const T>& p, const matrix_view<const T>& c,
               const targets<T>& labels, const loss_arrays<T>& arrays, const loss_direction<T>& direction = {}) const {
        const auto target =
            labels.are_probabilities() ? footprint_of("labels", labels.probabilities()) : footprint_of("labels", labels.indices());
        check_.separate(outputs, {footprint_of("p", p), footprint_of("c", c), target, footprint_of("upstream", arrays.upstream),
                                  footprint_of("weight", arrays.weight), footprint_of("sample_weight", arrays.sample_weight),
                                  footprint_of("row_mask", arrays.row_mask), footprint_of("class_mask", arrays.class_mask),
                                  footprint_of("direction.p", direction.p), footprint_of("direction.c", direction.c)});
    }
};

} // namespace car::inline CAR_ABI::detail
