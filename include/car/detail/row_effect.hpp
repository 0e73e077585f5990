// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend.hpp"       // policies
#include "../kernel/effect.hpp" // the backends' kernels
#include "../loss.hpp"          // the divergence
#include "mean_state.hpp"       // the state of a mean, intervals

#include <cmath>   // std::isfinite, std::sqrt
#include <cstdint> // std::int64_t
#include <limits>  // the largest size
#include <string>  // messages
#include <vector>  // the draws of a row

namespace car::inline CAR_ABI {

/// What an effect is measured in. e is s(p) - mean over draws of s(c), where s is
///
///     probability  softmax(.)_y                   Eq. 2 defines P so
///     log_odds     log(P_y / (1 - P_y))           does not saturate
///     logit        the logit itself               depends on how the rows are shifted
///
/// and `divergence` is KL(P || softmax(p - c)), what the loss of Causal Action Recognition pays: an effect on all classes together.
enum class scale { probability, log_odds, logit, divergence };

struct effect_options {
    double level = 0.95; ///< of the interval, between 0 and 1
    enum interval interval = interval::student_t;
    std::int64_t ignore_index = -100;
    enum scale scale = scale::probability;
    std::int64_t draws = 1;        ///< M counterfactuals of each row: row i of draw m is row m N + i of c
    std::int64_t resamples = 1000; ///< of a bootstrap interval
    std::uint64_t seed = 0;        ///< of a bootstrap interval
    std::int64_t first_row = 0;    ///< the number of the first row in the whole sample, where a bootstrap is split
};

/// The optional arrays of a call. `weights` and `clusters` are read, the others written.
template <class T>
struct effect_arrays {
    vector_view<term_of<T>> row_effect = {};     ///< N: the effect on each row's label; 0 where ignored
    vector_view<term_of<T>> row_draw_error = {}; ///< N: its standard error over draws, sd / sqrt(M); NaN for one draw, 0 where ignored
    matrix_view<T> class_effect = {};            ///< N x C: the effect on every class, ignored or not; probabilities sum to 0 over a row
    vector_view<const term_of<T>> weights = {};  ///< N: at least 0; a row of weight 0 is left out
    label_view clusters = {};                    ///< N: rows of one cluster are not independent
};

namespace detail {

template <class T, backend Backend>
double score(const Backend& on, enum scale scale, const vector_view<const T>& row, std::ptrdiff_t label) {
    if (scale == scale::logit) return static_cast<double>(row[label]);
    const kernel::scores<T> all(row, kernel::sum_exponentials(on, row));
    return scale == scale::probability ? all.probability(label) : all.log_odds(label);
}

/// KL(P || Y) of one row, as the loss has it.
template <class T, backend Backend>
double row_divergence(const Backend& on, const matrix_view<const T>& p, const matrix_view<const T>& c, std::ptrdiff_t i, std::ptrdiff_t j) {
    const std::int64_t any = 0;
    term_of<T> value = 0;
    loss(on, matrix_view<const T>{p.row(i).data, 1, p.cols, p.row_stride, p.col_stride},
         matrix_view<const T>{c.row(j).data, 1, c.cols, c.row_stride, c.col_stride}, vector_view<const std::int64_t>{&any, 1},
         loss_options{}, loss_arrays<T>{.row_divergence = {&value, 1}});
    return static_cast<double>(value);
}

struct row_score {
    double effect, draw_error;
};

template <class T, backend Backend>
row_score effect_of_row(const Backend& on, const matrix_view<const T>& p, const matrix_view<const T>& c, std::ptrdiff_t i,
                        std::ptrdiff_t label, const effect_options& options) {
    const bool divergence = options.scale == scale::divergence;
    const double factual = divergence ? 0 : score(on, options.scale, p.row(i), label);
    moments<2> draws;
    for (std::ptrdiff_t m = 0; m != options.draws; ++m) {
        const std::ptrdiff_t j = m * p.rows + i;
        draws.add(std::array<double, 2>{1, divergence ? -row_divergence(on, p, c, i, j) : score(on, options.scale, c.row(j), label)});
    }
    const evaluation<2> mean = mean_state::at(draws.sums());
    const auto n = static_cast<double>(options.draws);
    const double square = draws.square(mean.slope).high;
    return {factual - mean.value.high,
            n < 2 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt((square > 0 ? square : 0 * square) * (n / (n - 1)))};
}

/// The effect on every class of one row.
template <class T, backend Backend>
void effect_on_classes(const Backend& on, const matrix_view<const T>& p, const matrix_view<const T>& c, std::ptrdiff_t i,
                       const effect_options& options, const vector_view<T>& effects) {
    const auto of = [&](const kernel::scores<T>& all, std::ptrdiff_t k) {
        return options.scale == scale::probability ? all.probability(k) : options.scale == scale::log_odds ? all.log_odds(k) : all.logit(k);
    };
    const auto scores_of = [&](const vector_view<const T>& row) { return kernel::scores<T>(row, kernel::sum_exponentials(on, row)); };
    const kernel::scores<T> factual = scores_of(p.row(i));
    std::vector<kernel::scores<T>> draws;
    for (std::ptrdiff_t m = 0; m != options.draws; ++m) draws.push_back(scores_of(c.row(m * p.rows + i)));
    for (std::ptrdiff_t k = 0; k != p.cols; ++k) {
        compensated_sum counterfactual;
        for (const auto& draw : draws) counterfactual.add(of(draw, k));
        effects[k] = static_cast<T>(of(factual, k) - counterfactual.value() / static_cast<double>(options.draws));
    }
}

inline void check_effect(const checker& check, const effect_options& options) {
    check_interval(check, {options.level, options.interval}, options.resamples);
    if (options.draws < 1) check.fail("draws is " + std::to_string(options.draws) + ", expected at least 1");
}

/// Checks a batch, then gives every row that is not ignored and has a weight to `each(row, label, weight, effect)`.
template <class T, backend Backend, class Each>
row_status row_effects(const char* op, const Backend& on, const matrix_view<const T>& p, const matrix_view<const T>& c,
                       const label_view& labels, const effect_options& options, const effect_arrays<T>& arrays, Each each) {
    const checker check(op);
    check_effect(check, options);
    check.readable(footprint_of("p", p));
    if (p.rows != 0 && options.draws > std::numeric_limits<std::ptrdiff_t>::max() / p.rows)
        check.fail("draws is " + std::to_string(options.draws) + ", which with " + std::to_string(p.rows) + " rows is larger than memory");
    check.shape(footprint_of("c", c), p.rows * static_cast<std::ptrdiff_t>(options.draws), p.cols);
    if (arrays.row_effect) check.shape(footprint_of("row_effect", arrays.row_effect), p.rows, 1);
    if (arrays.row_draw_error) check.shape(footprint_of("row_draw_error", arrays.row_draw_error), p.rows, 1);
    if (arrays.class_effect) check.shape(footprint_of("class_effect", arrays.class_effect), p.rows, p.cols);
    if (arrays.weights) check.shape(footprint_of("weights", arrays.weights), p.rows, 1);
    if (arrays.clusters.data()) check.shape(footprint_of("clusters", arrays.clusters), p.rows, 1);
    if (arrays.class_effect && options.scale == scale::divergence)
        check.fail("class_effect is given, expected none: a divergence is one number for all classes");
    check.labels(labels, p.rows, p.cols, options.ignore_index);
    check.separate({{footprint_of("row_effect", arrays.row_effect)},
                    {footprint_of("row_draw_error", arrays.row_draw_error)},
                    {footprint_of("class_effect", arrays.class_effect)}},
                   {footprint_of("p", p), footprint_of("c", c), footprint_of("labels", labels), footprint_of("weights", arrays.weights),
                    footprint_of("clusters", arrays.clusters)});
    row_status status;
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        row_score found{0, 0};
        const double weight = arrays.weights ? static_cast<double>(arrays.weights[i]) : 1;
        if (labels[i] != options.ignore_index) {
            const auto label = static_cast<std::ptrdiff_t>(labels[i]);
            found = effect_of_row(on, p, c, i, label, options);
            if (weight != 0) each(i, label, weight, found.effect);
            if (!std::isfinite(found.effect) && status.rows++ == 0) status = {fault::not_finite, i, 1};
        }
        if (arrays.row_effect) arrays.row_effect[i] = static_cast<term_of<T>>(found.effect);
        if (arrays.row_draw_error) arrays.row_draw_error[i] = static_cast<term_of<T>>(found.draw_error);
        if (arrays.class_effect) effect_on_classes(on, p, c, i, options, arrays.class_effect.row(i));
    }
    return status;
}

} // namespace detail

} // namespace car::inline CAR_ABI
