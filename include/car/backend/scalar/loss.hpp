// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "../../options.hpp" // loss_options, loss_arrays, loss_result
#include "row.hpp"           // the state of a row

#include <cmath>       // std::isnan, std::isfinite
#include <limits>      // NaN, infinity
#include <type_traits> // std::is_same_v

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// -log of the label's probability: both terms are >= 0, so a sure row keeps its digits.
template <class Row>
double cross_entropy(const Row& row, const row_state& state, std::ptrdiff_t label) {
    if (row(label).high == -infinity) return infinity;
    const split gap = state.max - row(label);
    return gap.high + (gap.low + std::log1p(state.rest));
}

/// d cross-entropy / d logit of one column; a = logit - max, e = exp(a). The label's column is minus the sum of the others.
inline double cross_entropy_slope(const split& a, double e, const row_state& state, bool is_label) {
    if (!is_label) return e / state.sum();
    return a.high == -infinity ? -1 : -(state.rest - std::expm1(a.high)) / state.sum();
}

/// Infinite or NaN c on live classes: KL is +inf, or NaN where no finite Y is left to compare with.
template <class Row>
double divergence_of_non_finite(const Row& row) {
    std::ptrdiff_t live = 0, rising = 0, falling = 0;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        if (row(k).high == -infinity) continue;
        const double c = row.c(k);
        if (std::isnan(c)) return nan;
        ++live;
        rising += c == infinity;
        falling += c == -infinity;
    }
    return rising == live || falling == live ? nan : infinity;
}

/// The slopes of the divergence in one column.
struct divergence_slope {
    double p = 0, c = 0;
};

/// KL(P || Y) of a row, and its slopes.
template <class Row>
struct prediction_divergence {
    const Row& row;
    row_state state;
    row_terms terms;

    /// How much may cancel before the row is measured again. Float rows have 29 bits to spare in double; double rows have none.
    static constexpr double limit = std::is_same_v<typename Row::value_type, float> ? 0x1p20 : 0;
    static constexpr double wide = 8; // its rounding, 4u of Y_k in double, is within the bounds of every slope

    prediction_divergence(const Row& pairs, const row_state& made) : row(pairs), state(made), terms(finish(made)) {
        if (terms.condition <= limit) return;
        const double mean = state.centre + state.drift / state.sum();
        if (!std::isfinite(mean)) {
            terms.divergence = divergence_of_non_finite(row);
            return;
        }
        state = centred(row, state);
        terms = finish(state);
        if (!(terms.shift.high < wide)) terms = finish_wide(row, state);
    }

    double value() const { return terms.divergence; }

    divergence_slope slope(std::ptrdiff_t k, const split& a, double e, flow how) const {
        if (!std::isfinite(terms.divergence)) return {nan, how == flow::full || how == flow::stop_factual ? nan : 0};
        const split d = distance(row, k, state.centre);
        const split w = d - split{-terms.shift.high, -terms.shift.low}; // log(P_k / Y_k)
        const double fall = detail::weighted_fall(a, e, w) / terms.sum; // P_k - Y_k
        switch (how) {
        case flow::full: return {full(a, e, w), fall};
        case flow::stop_target: return {e * (d.high - state.drift / terms.sum) / terms.sum, 0};
        case flow::stop_counterfactual: return {full(a, e, w), 0};
        case flow::stop_factual: return {-fall, fall};
        }
        return {};
    }

  private:
    double full(const split& a, double e, const split& w) const {
        return (detail::weighted_phi(a, e, w) - e * terms.divergence) / terms.sum;
    }
};

/// The cross-entropy of Y, and its slopes.
template <class T>
struct label_divergence {
    logit_differences<T> row;
    row_state state;
    std::ptrdiff_t label;
    bool defined;

    label_divergence(const logit_pairs<T>& pairs, std::ptrdiff_t y)
        : row{pairs}, state(make_state(row)), label(y), defined(!std::isnan(state.max.high) && !state.is_empty()) {}

    double value() const { return defined ? cross_entropy(row, state, label) : nan; }

    divergence_slope slope(std::ptrdiff_t k, flow how) const {
        if (!defined) return {nan, how == flow::full ? nan : 0};
        const split a = row(k) - state.max;
        const double slope_p = cross_entropy_slope(a, detail::exp(a), state, k == label);
        return {slope_p, how == flow::full ? -slope_p : 0};
    }
};

/// One row of the loss: what it is worth, and the gradients of `upstream` times that.
struct row_result {
    double cross_entropy = 0;
    double divergence = 0;
    fault what = fault::none;
};

template <class T>
void fill(const vector_view<T>& values, T value) {
    for (std::ptrdiff_t k = 0; k != values.size; ++k) values[k] = value;
}

/// Writes the gradients, column by column, each read before it is written: the gradients may lie where p and c are.
template <class T, class Divergence>
void write_gradients(const logit_pairs<T>& row, const row_state& state, std::ptrdiff_t label, double upstream, double alpha,
                     const vector_view<T>& grad_p, const vector_view<T>& grad_c, const Divergence& divergence) {
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        const split p = row(k), a = p - state.max;
        const bool live = p.high != -infinity;
        const double e = live ? detail::exp(a) : 0;
        double slope_p = k == label || live ? cross_entropy_slope(a, e, state, k == label) : 0, slope_c = 0;
        if (live && alpha != 0) {
            const divergence_slope slope = divergence(k, a, e);
            slope_p += alpha * slope.p;
            slope_c = alpha * slope.c;
        }
        if (grad_p) grad_p[k] = slope_p == 0 ? T(0) : static_cast<T>(upstream * row.scale * slope_p);
        if (grad_c) grad_c[k] = slope_c == 0 ? T(0) : static_cast<T>(upstream * row.counterfactual_scale * slope_c);
    }
}

template <class T>
row_result loss(const logit_pairs<T>& row, std::ptrdiff_t label, const loss_options& options, double upstream, const vector_view<T>& grad_p,
                const vector_view<T>& grad_c) {
    const bool wants_gradients = grad_p || grad_c;
    const bool reads_c = options.alpha != 0;
    const bool against_prediction = reads_c && options.kl_target == kl_target::prediction;
    const row_state state = against_prediction ? make_state(row) : make_state(static_cast<const logits<T>&>(row));
    if (std::isnan(state.max.high) || state.is_empty()) {
        const T value = state.is_empty() ? T(0) : std::numeric_limits<T>::quiet_NaN();
        fill(grad_p, value);
        fill(grad_c, value);
        return {nan, reads_c ? nan : 0, state.is_empty() ? fault::masked_row : fault::not_finite};
    }

    row_result result{cross_entropy(row, state, label), 0, fault::none};
    const auto finish_row = [&](const auto& divergence, auto slope) {
        result.divergence = divergence.value();
        if (std::isnan(result.divergence)) result.what = fault::not_finite;
        if (wants_gradients) write_gradients(row, state, label, upstream, options.alpha, grad_p, grad_c, slope);
    };
    if (against_prediction) {
        const prediction_divergence<logit_pairs<T>> divergence(row, state);
        finish_row(divergence, [&](std::ptrdiff_t k, const split& a, double e) { return divergence.slope(k, a, e, options.flow); });
    } else if (reads_c) {
        const label_divergence<T> divergence(row, label);
        finish_row(divergence, [&](std::ptrdiff_t k, const split&, double) { return divergence.slope(k, options.flow); });
    } else if (wants_gradients) {
        write_gradients(row, state, label, upstream, 0, grad_p, grad_c, [](auto&&...) { return divergence_slope{}; });
    }
    return result;
}

} // namespace scalar_row

/// Rows one after the other. The arguments have been checked.
template <class T>
loss_result loss(scalar_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const label_view& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    const double scale = options.logit_scale / options.temperature;
    loss_result total;
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) total.count += labels[i] != options.ignore_index;
    const double divisor = options.reduction == reduction::mean ? options.divisor.value_or(static_cast<double>(total.count)) : 1;

    detail::compensated_sum cross_entropy, divergence;
    for (std::ptrdiff_t i = 0; i != p.rows; ++i) {
        const bool ignored = labels[i] == options.ignore_index;
        const vector_view<T> grad_p = arrays.grad_p ? arrays.grad_p.row(i) : vector_view<T>{};
        const vector_view<T> grad_c = arrays.grad_c ? arrays.grad_c.row(i) : vector_view<T>{};
        scalar_row::row_result row;
        if (ignored) {
            scalar_row::fill(grad_p, T(0));
            scalar_row::fill(grad_c, T(0));
        } else {
            const double upstream = (arrays.upstream ? static_cast<double>(arrays.upstream[i]) : 1) / divisor;
            const vector_view<const T> c_row = options.alpha != 0 ? c.row(i) : vector_view<const T>{};
            row = scalar_row::loss<T>({{p.row(i), scale}, c_row, scale * options.strength}, static_cast<std::ptrdiff_t>(labels[i]), options,
                                      upstream, grad_p, grad_c);
        }
        cross_entropy.add(row.cross_entropy);
        divergence.add(row.divergence);
        if (arrays.row_loss)
            arrays.row_loss[i] = static_cast<T>(row.cross_entropy + (options.alpha != 0 ? options.alpha * row.divergence : 0));
        if (arrays.row_cross_entropy) arrays.row_cross_entropy[i] = static_cast<T>(row.cross_entropy);
        if (arrays.row_divergence) arrays.row_divergence[i] = static_cast<T>(row.divergence);
        if (row.what == fault::none) continue;
        if (total.status.rows++ == 0) total.status = {row.what, i, 1};
    }

    const bool no_row = total.count == 0 && options.reduction == reduction::mean && !options.divisor;
    if (options.reduction == reduction::none || (no_row && options.empty == empty::nan)) {
        total.value = total.cross_entropy = total.divergence = scalar_row::nan;
    } else if (!no_row) {
        total.cross_entropy = cross_entropy.value() / divisor;
        total.divergence = divergence.value() / divisor;
        total.value = total.cross_entropy + (options.alpha != 0 ? options.alpha * total.divergence : 0);
    }
    return total;
}

} // namespace car::inline CAR_ABI::kernel
