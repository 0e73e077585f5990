// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp" // scalar_backend
#include "../../options.hpp" // loss_options, loss_arrays, loss_result
#include "batch.hpp"         // what each row of a call is given
#include "divergence.hpp"    // KL(P || Y) and its slopes

namespace car::inline CAR_ABI::kernel {

namespace scalar_row {

/// One row of the loss, without its weight.
template <class Number>
struct row_result {
    Number cross_entropy = 0;
    Number divergence = 0;
    Number lse_p = 0;
    Number lse_y = detail::no_number;
    std::ptrdiff_t predicted = -1;
    fault what = fault::none;
};

/// Writes the gradients, column by column, each read before it is written: the gradients may lie where p and c are.
template <class T, class Difference, class Slope, class SlopeOfDivergence>
void write_gradients(const logit_pairs<T, Difference>& row, const basic_row_state<Difference>& state, double alpha,
                     const gradient_rows<T, detail::number_of<Difference>>& gradients, Slope slope, SlopeOfDivergence slope_of_divergence) {
    using number = detail::number_of<Difference>;
    for (std::ptrdiff_t k = 0; k != row.size(); ++k) {
        const Difference p = row(k), a = p - state.max;
        const bool live = detail::rounded(p) != -infinity;
        const number e = live ? detail::exp(a) : number(0);
        number slope_p = slope(k, a, e, live), slope_c = 0;
        if (live && alpha != 0) {
            const divergence_slope<number> part = slope_of_divergence(k, a, e);
            slope_p += alpha * part.p;
            slope_c = alpha * part.c;
        }
        const number to_p = gradients.factor * row.how.slope(row.raw(k)) * slope_p;
        const number to_c = slope_c == 0 ? number(0) : gradients.factor * row.slope_c(k) * slope_c;
        gradients.put(gradients.p, k, to_p);
        gradients.put(gradients.c, k, to_c);
    }
}

template <class T, class Difference>
auto loss(const logit_pairs<T, Difference>& row, const row_target<T>& target, const loss_options& options, double limit, bool wants_lse_y,
          const gradient_rows<T, detail::number_of<Difference>>& gradients) {
    using number = detail::number_of<Difference>;
    const bool reads_c = options.alpha != 0 || wants_lse_y;
    const bool against_prediction = reads_c && options.kl_target == kl_target::prediction;
    const auto refuse = [&](fault what) {
        gradients.fill(row.size(), what == fault::masked_row ? 0 : detail::no_number);
        row_result<number> result{detail::no_number, options.alpha != 0 ? detail::no_number : 0, detail::no_number};
        result.what = what;
        return result;
    };
    const auto finish_row = [&](const auto& whole) {
        if (!whole.is_finite()) return refuse(whole.what());
        const auto& state = whole.state;
        const smoothed_cross_entropy<T, logits<T, Difference>, basic_row_state<Difference>> ce(target, row, state, options.label_smoothing);
        if (!std::isfinite(detail::rounded(ce.mass))) return refuse(fault::not_finite);

        row_result<number> result;
        result.cross_entropy = ce.value;
        result.lse_p = detail::sum(state.max, detail::log1p(state.rest));
        result.predicted = whole.peak;
        const auto slope = [&](std::ptrdiff_t k, const Difference& a, const number& e, bool live) {
            number all = ce.slope(k, a, e, live);
            if (options.z_weight != 0 && live) all += 2 * options.z_weight * result.lse_p * (e / state.sum());
            return all;
        };
        const auto with_divergence = [&](const auto& divergence, auto slope_of_divergence) {
            if (wants_lse_y) result.lse_y = divergence.log_sum_exp_y();
            if (options.alpha != 0) {
                result.divergence = divergence.value();
                if (std::isnan(detail::rounded(result.divergence))) result.what = fault::not_finite;
            }
            if (gradients) write_gradients(row, state, options.alpha, gradients, slope, slope_of_divergence);
        };
        if constexpr (std::remove_cvref_t<decltype(whole)>::has_counterfactual) {
            const prediction_divergence<logit_pairs<T, Difference>> divergence(row, state, limit);
            with_divergence(divergence,
                            [&](std::ptrdiff_t k, const auto& a, const number& e) { return divergence.slope(k, a, e, options.flow); });
        } else if (reads_c) {
            const label_divergence<T, Difference> divergence(row, target);
            with_divergence(divergence, [&](std::ptrdiff_t k, const auto&, const number&) { return divergence.slope(k, options.flow); });
        } else if (gradients) {
            write_gradients(row, state, 0, gradients, slope, [](auto&&...) { return divergence_slope<number>{}; });
        }
        return result;
    };
    if (against_prediction) return finish_row(measured(row));
    return finish_row(measured(static_cast<const logits<T, Difference>&>(row)));
}

/// What rows come to, in their order. A part of them may be summed by itself and then added.
template <class Difference>
class loss_sums {
    using number = detail::number_of<Difference>;

    detail::sum_of<Difference> cross_entropy_, divergence_, z_loss_;
    std::int64_t correct_ = 0;
    row_status status_;
    struct {
        number cross_entropy = 0, divergence = 0, z_loss = 0;
    } part_;

  public:
    void add(std::ptrdiff_t i, const number& weight, bool correct, const row_result<number>& row) {
        part_.cross_entropy += weight * row.cross_entropy;
        part_.divergence += weight * row.divergence;
        part_.z_loss += weight * (row.lse_p * row.lse_p);
        correct_ += correct;
        if (row.what != fault::none && status_.rows++ == 0) status_ = {row.what, i, 1};
    }
    /// The rows since the last time are a few, whose own sum was plain.
    void close_part() {
        cross_entropy_.add(part_.cross_entropy);
        divergence_.add(part_.divergence);
        z_loss_.add(part_.z_loss);
        part_ = {};
    }
    /// Rows that come after these.
    void add(const loss_sums& other) {
        cross_entropy_.add(other.cross_entropy_.value());
        divergence_.add(other.divergence_.value());
        z_loss_.add(other.z_loss_.value());
        correct_ += other.correct_;
        if (status_.rows == 0)
            status_ = other.status_;
        else
            status_.rows += other.status_.rows;
    }

    /// `whole` has the weights already.
    void reduce(const loss_options& options, const number& divisor, loss_result& whole) const {
        whole.correct = correct_;
        whole.status = status_;
        const bool no_row = whole.count == 0 && options.reduction == reduction::mean && !options.divisor;
        if (options.reduction == reduction::none || (no_row && options.empty == empty::nan)) {
            whole.value = whole.cross_entropy = whole.divergence = whole.z_loss = detail::no_number;
        } else if (!no_row) {
            const number ce = cross_entropy_.value() / divisor, kl = divergence_.value() / divisor, z = z_loss_.value() / divisor;
            number value = ce;
            if (options.alpha != 0) value += options.alpha * kl;
            if (options.z_weight != 0) value += options.z_weight * z;
            whole.value = store<double>(value);
            whole.cross_entropy = store<double>(ce);
            whole.divergence = store<double>(kl);
            whole.z_loss = store<double>(z);
        }
    }
};

/// What a call has before its rows are looked at, and what it does with each.
template <class T, class Difference>
class loss_call {
    using number = detail::number_of<Difference>;

    const batch<T>& rows_;
    const loss_options& options_;
    const loss_arrays<T>& arrays_;
    loss_result whole_;
    number divisor_;

  public:
    loss_call(const batch<T>& rows, const loss_options& options, const loss_arrays<T>& arrays)
        : rows_(rows), options_(options), arrays_(arrays) {
        detail::sum_of<Difference> weights;
        for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
            const double weight = rows.weight(i);
            whole_.count += weight != 0;
            weights.add(weight);
        }
        whole_.weight = store<double>(number(weights.value()));
        divisor_ = options.reduction != reduction::mean ? number(1) : options.divisor ? number(*options.divisor) : weights.value();
    }

    /// What the gradients of a row are multiplied with.
    number factor(double weight, double upstream) const { return number(weight) * upstream / divisor_; }

    /// Row i, of a weight of 0 where it is ignored. What is asked of it is written, and it counts.
    void add(std::ptrdiff_t i, const number& weight, bool correct, const row_result<number>& row, loss_sums<Difference>& sums) const {
        sums.add(i, weight, correct, row);
        number row_loss = row.cross_entropy;
        if (options_.alpha != 0) row_loss += options_.alpha * row.divergence;
        if (options_.z_weight != 0) row_loss += options_.z_weight * (row.lse_p * row.lse_p);
        const auto put = [&](const vector_view<term_of<T>>& terms, const number& value) {
            if (terms) terms[i] = store<term_of<T>>(value);
        };
        put(arrays_.row_loss, weight * row_loss);
        put(arrays_.row_cross_entropy, row.cross_entropy);
        put(arrays_.row_divergence, row.divergence);
        put(arrays_.lse_p, row.lse_p);
        put(arrays_.lse_y, row.lse_y);
        if (arrays_.predicted) arrays_.predicted[i] = row.predicted;
    }
    /// A row that is ignored: its gradients are 0, whatever its logits are.
    void ignore(std::ptrdiff_t i, loss_sums<Difference>& sums) const {
        rows_.template gradients<number>(i).fill(rows_.classes(), 0);
        row_result<number> row;
        row.lse_y = 0;
        add(i, 0, false, row, sums);
    }

    loss_result result(const loss_sums<Difference>& sums) const {
        loss_result whole = whole_;
        sums.reduce(options_, divisor_, whole);
        return whole;
    }
};

/// All rows of a call, each by `loss_of_row`, which is given what `loss` above is.
template <class T, class Difference, class LossOfRow>
loss_result loss_rows(const batch<T>& rows, const loss_options& options, const loss_arrays<T>& arrays, double limit,
                      LossOfRow loss_of_row) {
    using number = detail::number_of<Difference>;
    const loss_call<T, Difference> call(rows, options, arrays);
    loss_sums<Difference> sums;
    for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
        const double weight = rows.weight(i);
        if (weight == 0) {
            call.ignore(i, sums);
        } else {
            gradient_rows<T, number> gradients = rows.template gradients<number>(i);
            gradients.factor = call.factor(weight, rows.upstream(i));
            const row_target<T> target = rows.target(i);
            const auto row =
                loss_of_row(rows.template logits<Difference>(i), target, options, limit, static_cast<bool>(arrays.lse_y), gradients);
            call.add(i, weight, row.predicted == target.first_choice(), row, sums);
        }
        sums.close_part();
    }
    return call.result(sums);
}

} // namespace scalar_row

/// Rows one after the other. The arguments have been checked.
template <class T>
loss_result loss(scalar_backend, const matrix_view<const T>& p, const matrix_view<const T>& c, const targets<T>& labels,
                 const loss_options& options, const loss_arrays<T>& arrays) noexcept {
    const scalar_row::batch<T> rows{p, c, labels, options, arrays};
    return scalar_row::with_precision<T>(options.precision, [&]<class Difference>(Difference, double limit) {
        return scalar_row::loss_rows<T, Difference>(rows, options, arrays, limit,
                                                    [](const auto&... row) { return scalar_row::loss(row...); });
    });
}

} // namespace car::inline CAR_ABI::kernel
