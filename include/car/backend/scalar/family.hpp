// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../backend.hpp"     // scalar_backend
#include "../../detail/part.hpp" // terms with their weights
#include "batch.hpp"             // weight, upstream gradient and target of each row

#include <array>   // the inputs of a row
#include <cstddef> // std::size_t

namespace car::inline CAR_ABI::kernel {

/// A call of a member of the family: its inputs, N x C or N x 1, where their gradients go, and what it shares with the loss.
template <class T, std::size_t Inputs>
struct family_rows {
    std::array<matrix_view<const T>, Inputs> inputs;
    std::array<matrix_view<T>, Inputs> gradients;
    targets<T> labels;
    loss_options options;
    loss_arrays<T> arrays;
};

/// Where a term of the result goes: reduced as the value is, or a gradient, which is a sum over the rows.
template <class Result>
struct family_term {
    double Result::*field;
    bool is_gradient = false;

    family_term(double Result::*term) : field(term) {}
    family_term(double Result::*term, std::true_type) : field(term), is_gradient(true) {}
};

namespace scalar_row {

/// What a member makes of one row.
template <std::size_t Terms>
struct family_terms {
    double value = 0;
    std::array<double, Terms> terms = {};
    fault what = fault::none;
};

/// An empty row comes before one that is not finite.
inline fault first_fault(fault one, fault other) {
    if (one == fault::masked_row || other == fault::masked_row) return fault::masked_row;
    return one != fault::none ? one : other;
}

/// What a row without an answer gives.
template <std::size_t Terms>
family_terms<Terms> refused(fault what) {
    family_terms<Terms> result{detail::no_number, {}, what};
    result.terms.fill(detail::no_number);
    return result;
}

/// Logits that are made where they are read.
template <class Difference, class Logit>
struct composed {
    using difference_type = Difference;
    static constexpr bool has_counterfactual = false;

    std::ptrdiff_t classes;
    Logit logit;

    std::ptrdiff_t size() const { return classes; }
    Difference operator()(std::ptrdiff_t k) const { return {logit(k)}; }
    bool is_masked(std::ptrdiff_t k) const { return detail::rounded((*this)(k)) == -infinity; }
    measured<composed> measure() const { return measured<composed>(*this); }
    double exponential(std::ptrdiff_t k, const Difference& max) const {
        const Difference x = (*this)(k);
        return detail::rounded(x) == -infinity ? 0 : detail::exp(x - max);
    }
};

/// The softmax of a row of logits, and the slopes of its cross-entropy. How the row makes its exponentials is a backend's.
template <class Row>
struct prediction {
    Row row;
    measured<Row> whole;
    double log_sum; // of the exponentials from the maximum

    template <class Logit>
    prediction(std::ptrdiff_t size, const Logit& logit)
        : row{size, logit}, whole(row.measure()), log_sum(detail::log1p(whole.state.rest)) {}

    fault what() const { return whole.what(); }
    bool is_masked(std::ptrdiff_t k) const { return row.is_masked(k); }
    /// log P_k, negated.
    double surprise(std::ptrdiff_t k) const { return is_masked(k) ? infinity : detail::sum(whole.state.max - row(k), log_sum); }
    /// log sum_k exp(logit_k) - x
    double distance(double x) const { return detail::sum(whole.state.max - difference_of<Row>{x}, log_sum); }
    double probability(std::ptrdiff_t k) const { return row.exponential(k, whole.state.max) / whole.state.sum(); }
    /// P_k - [k = label]
    double slope(std::ptrdiff_t k, std::ptrdiff_t label) const {
        if (k != label) return probability(k);
        if (is_masked(k)) return -1;
        const auto a = row(k) - whole.state.max;
        return cross_entropy_slope(row_target<double>{.label = label}, 1.0, k, a, detail::exp(a), whole.state);
    }
    /// P_k - Q_k. Where both are nearly 1, what they leave to the other classes says it.
    template <class Other>
    double minus(const Other& other, std::ptrdiff_t k) const {
        const double p = probability(k), q = other.probability(k);
        return p > 0.5 && q > 0.5 ? slope(k, k) - other.slope(k, k) : p - q;
    }
};

/// How the scalar backend makes the predictions of rows of T.
template <class T>
struct predictions {
    using difference = exact_enough<T>;
    template <class Logit>
    using row = composed<difference, Logit>;
};

/// One row as a member sees it. Gradients may lie where their inputs are: a column is read before it is written, and what is said of the
/// label before any is.
template <class Predictions, class T, std::size_t Inputs>
struct family_row {
    using difference = typename Predictions::difference;

    std::array<vector_view<const T>, Inputs> inputs;
    std::array<vector_view<T>, Inputs> gradients;
    gradient_rows<T, double> sink; // its factor
    std::ptrdiff_t index, label;
    double upstream;

    std::ptrdiff_t classes() const { return inputs[0].size; }
    double operator()(std::size_t input, std::ptrdiff_t k) const { return static_cast<double>(inputs[input][k]); }
    bool wants_gradients() const {
        bool any = false;
        for (const auto& gradient : gradients) any = any || gradient;
        return any;
    }
    void put(std::size_t input, std::ptrdiff_t k, double slope) const {
        sink.put(gradients[input], k, slope == 0 ? 0 : sink.factor * slope);
    }
    void fill(double value) const {
        for (const auto& gradient : gradients)
            for (std::ptrdiff_t k = 0; k != gradient.size; ++k) sink.put(gradient, k, value);
    }

    /// The softmax of `logit(k)`, a double or a difference.
    template <class Logit>
    auto predict(const Logit& logit) const {
        return prediction<typename Predictions::template row<Logit>>(classes(), logit);
    }
    /// exp(x(k)) of doubles that are at most 0.
    template <class Value>
    auto exponentials(const Value& x) const {
        return [made = typename Predictions::template row<Value>{classes(), x}](std::ptrdiff_t k) {
            return made.exponential(k, difference{});
        };
    }
    /// The softmax of one input as it is.
    auto predict_input(std::size_t input) const {
        return predict([this, input](std::ptrdiff_t k) { return (*this)(input, k); });
    }
};

} // namespace scalar_row

template <class T>
scalar_row::predictions<T> predictions(scalar_backend) noexcept {
    return {};
}

/// Every row of a call by `member`, which is given a family_row and returns its family_terms; `terms` says where they go.
template <class Result, class Predictions, class T, std::size_t Inputs, std::size_t Terms, class Member>
Result family(Predictions, const family_rows<T, Inputs>& call, const std::array<family_term<Result>, Terms>& terms,
              const Member& member) noexcept {
    const matrix_view<const T> none;
    const scalar_row::batch<T> rows{call.inputs[0], none, call.labels, call.options, call.arrays};
    const scalar_row::row_weights<double> weights = rows.template weigh<double>();
    const double divisor = weights.divisor;
    Result total;
    total.count = weights.count;
    total.weight = weights.sum;
    detail::compensated_sum values;
    std::array<detail::compensated_sum, Terms> sums;
    for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
        const double weight = rows.weight(i), upstream = rows.upstream(i);
        scalar_row::family_row<Predictions, T, Inputs> row{{}, {}, {}, i, rows.target(i).label, upstream};
        for (std::size_t k = 0; k != Inputs; ++k) {
            row.inputs[k] = call.inputs[k] ? call.inputs[k].row(i) : vector_view<const T>{};
            if (call.gradients[k]) row.gradients[k] = call.gradients[k].row(i);
        }
        scalar_row::family_terms<Terms> result;
        if (weight == 0) {
            row.fill(0);
        } else {
            row.sink.factor = weight * upstream / divisor;
            result = member(row);
            if (result.what == fault::none && std::isnan(result.value)) result.what = fault::not_finite;
            if (result.what != fault::none) {
                row.fill(result.what == fault::masked_row ? 0 : detail::no_number);
                if (total.status.rows++ == 0) total.status = {result.what, i, 1};
            }
        }
        values.add(weight * result.value);
        for (std::size_t k = 0; k != Terms; ++k) {
            const bool nothing = terms[k].is_gradient && (result.what == fault::masked_row || result.terms[k] == 0);
            if (!nothing) sums[k].add((terms[k].is_gradient ? weight * upstream : weight) * result.terms[k]);
        }
        if (call.arrays.row_loss) call.arrays.row_loss[i] = scalar_row::store<term_of<T>>(weight * result.value);
    }
    const bool no_row = scalar_row::is_mean_of_nothing(call.options, total.count);
    const double of_none = no_row && call.options.empty == empty::zero ? 0 : detail::no_number;
    const auto reduced = [&](double sum) { return no_row || call.options.reduction == reduction::none ? of_none : sum / divisor; };
    total.value = reduced(values.value());
    for (std::size_t k = 0; k != Terms; ++k) {
        const double sum = sums[k].value();
        total.*terms[k].field = !terms[k].is_gradient ? reduced(sum) : no_row ? 0 : sum / divisor;
    }
    return total;
}

} // namespace car::inline CAR_ABI::kernel
