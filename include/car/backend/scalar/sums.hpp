// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "batch.hpp" // what each row of a call is given

namespace car::inline CAR_ABI::kernel::scalar_row {

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
        const bool no_row = is_mean_of_nothing(options, whole.count);
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
        const row_weights<number> weights = rows.template weigh<Difference>();
        whole_.count = weights.count;
        whole_.weight = store<double>(weights.sum);
        divisor_ = weights.divisor;
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

} // namespace car::inline CAR_ABI::kernel::scalar_row
