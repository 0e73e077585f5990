// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../detail/check_loss.hpp" // row_weight
#include "../../options.hpp"           // loss_options, loss_arrays
#include "target.hpp"                  // logits and target of a row

namespace car::inline CAR_ABI::kernel::scalar_row {

/// Where the gradients of a row go, and what multiplies them.
template <class T, class Number>
struct gradient_rows {
    vector_view<T> p, c;
    gradients how = gradients::overwrite;
    Number factor = 1;

    explicit operator bool() const { return p || c; }

    void put(const vector_view<T>& gradient, std::ptrdiff_t k, const Number& value) const {
        if (!gradient) return;
        if (how == gradients::overwrite)
            gradient[k] = value == 0 ? T(0) : store<T>(value);
        else if (value != 0)
            gradient[k] = store<T>(value + static_cast<double>(gradient[k]));
    }
    void fill(std::ptrdiff_t size, double value) const {
        for (std::ptrdiff_t k = 0; k != size; ++k) {
            put(p, k, value);
            put(c, k, value);
        }
    }
};

/// What the rows of a call weigh together.
template <class Number>
struct row_weights {
    std::int64_t count; ///< of those that are not ignored
    Number sum;
    Number divisor; ///< of the rows' sum
};

inline bool is_mean_of_nothing(const loss_options& options, std::int64_t count) {
    return count == 0 && options.reduction == reduction::mean && !options.divisor;
}

/// What each row of a call of the loss is given: its logits as they are read, its target, its weight, its upstream gradient.
template <class T>
struct batch {
    const matrix_view<const T>& p;
    const matrix_view<const T>& c;
    const targets<T>& labels;
    const loss_options& options;
    const loss_arrays<T>& arrays;

    std::ptrdiff_t size() const { return p.rows; }
    std::ptrdiff_t classes() const { return p.cols; }

    template <class Difference>
    logit_pairs<T, Difference> logits(std::ptrdiff_t i) const {
        const double rate = options.softcap ? options.logit_scale / *options.softcap : 0;
        const vector_view<const T> counterfactual = c.data ? c.row(i) : vector_view<const T>{};
        return {{p.row(i), {options.logit_scale / options.temperature, rate}, arrays.class_mask}, counterfactual, options.strength};
    }

    /// Another row, read the same way.
    template <class Difference>
    void move_to(std::ptrdiff_t i, logit_pairs<T, Difference>& row) const {
        row.values = p.row(i);
        if (c.data) row.counterfactual = c.row(i);
    }

    row_target<T> target(std::ptrdiff_t i) const {
        if (labels.are_probabilities()) return {.probabilities = labels.probabilities().row(i)};
        return {.label = static_cast<std::ptrdiff_t>(labels.indices()[i])};
    }

    double upstream(std::ptrdiff_t i) const { return arrays.upstream ? static_cast<double>(arrays.upstream[i]) : 1; }

    template <class Difference>
    row_weights<detail::number_of<Difference>> weigh() const {
        using number = detail::number_of<Difference>;
        detail::sum_of<Difference> weights;
        std::int64_t count = 0;
        for (std::ptrdiff_t i = 0; i != size(); ++i) {
            const double one = weight(i);
            count += one != 0;
            weights.add(one);
        }
        const number sum = weights.value();
        return {count, sum, options.reduction != reduction::mean ? number(1) : options.divisor ? number(*options.divisor) : sum};
    }

    template <class Number>
    gradient_rows<T, Number> gradients(std::ptrdiff_t i) const {
        return {arrays.grad_p ? arrays.grad_p.row(i) : vector_view<T>{}, arrays.grad_c ? arrays.grad_c.row(i) : vector_view<T>{},
                options.gradients};
    }

    /// 0 where the row is ignored.
    double weight(std::ptrdiff_t i) const { return detail::row_weight(labels, arrays, options.ignore_index, i); }
};

} // namespace car::inline CAR_ABI::kernel::scalar_row
