// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "family.hpp" // the checks and rows of every member

#include <algorithm> // std::max
#include <vector>    // what is kept of each environment

namespace car::inline CAR_ABI::detail {

/// One environment: its risk R, the slope g of its risk along a common factor of the logits, of all rows and of each half (its rows in
/// turns), and what the objective sends back to each.
struct environment {
    compensated_sum weight[2], risk, slope[2];
    std::ptrdiff_t rows = 0;
    double to_risk = 0, to_slope[2] = {};

    double total_weight() const { return weight[0].value() + weight[1].value(); }
    double mean_risk() const { return risk.value() / total_weight(); }
    double mean_slope() const { return (slope[0].value() + slope[1].value()) / total_weight(); }
    double half_slope(int half) const { return slope[half].value() / weight[half].value(); }
    double half_weight(int half) const { return weight[half].value(); }
};

/// The rows of a call once for what the environments are, and once more for what `objective(environments, result)` makes of it: it sets
/// value, risk and penalty, and the slopes to_risk and to_slope of each environment that has rows; to_slope is of a row's own share.
template <class T, class Objective>
environments_result over_environments(const family_call<T, 1>& call, const label_view& groups, Objective objective) {
    const matrix_view<const T> none;
    const kernel::scalar_row::batch<T> rows{call.rows.inputs[0], none, call.rows.labels, call.rows.options, call.rows.arrays};
    call.check.shape(footprint_of("environments", groups), rows.size(), 1);
    call.check.separate({{footprint_of("grad_p", call.rows.gradients[0])}}, {footprint_of("environments", groups)});
    std::int64_t most = -1;
    for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
        if (groups[i] < 0 || groups[i] >= rows.size())
            call.check.fail("environment of row " + std::to_string(i) + " is " + std::to_string(groups[i]) + ", expected 0 to " +
                            std::to_string(rows.size() - 1));
        most = std::max(most, groups[i]);
    }
    std::vector<environment> all(static_cast<std::size_t>(most + 1));

    using family_row = kernel::scalar_row::family_row<decltype(kernel::predictions<T>(default_backend)), T, 1>;
    using kernel::scalar_row::first_fault;
    environments_result result;
    compensated_sum weights;
    const auto each_row = [&](auto visit) {
        for (environment& one : all) one.rows = 0;
        for (std::ptrdiff_t i = 0; i != rows.size(); ++i) {
            family_row row{{call.rows.inputs[0].row(i)}, {}, {}, i, rows.target(i).label, rows.upstream(i)};
            if (call.rows.gradients[0]) row.gradients[0] = call.rows.gradients[0].row(i);
            const double weight = rows.weight(i);
            environment& group = all[static_cast<std::size_t>(groups[i])];
            visit(row, weight, group, static_cast<int>(group.rows % 2));
            if (weight != 0) ++group.rows;
        }
    };
    /// The risk of a masked label is infinite, and there is no line along which it could fall.
    const auto has_answer = [](const auto& prediction, std::ptrdiff_t label) {
        return prediction.what() == fault::none && !prediction.is_masked(label);
    };
    /// E_P[z] - z_y
    const auto lead = [](const auto& row, const auto& prediction) {
        compensated_sum sum;
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k)
            if (!prediction.is_masked(k)) sum.add(prediction.probability(k) * (row(0, k) - row(0, row.label)));
        return sum.value();
    };

    each_row([&](const auto& row, double weight, environment& group, int half) {
        if (weight == 0) return;
        const auto prediction = row.predict_input(0);
        const bool good = has_answer(prediction, row.label);
        group.weight[half].add(weight);
        group.risk.add(weight * (good ? prediction.surprise(row.label) : no_number));
        group.slope[half].add(weight * (good ? lead(row, prediction) : no_number));
        weights.add(weight);
        ++result.count;
        if (!good && result.status.rows++ == 0) result.status = {first_fault(prediction.what(), fault::not_finite), row.index, 1};
    });
    result.weight = weights.value();
    for (const environment& one : all) result.environments += one.rows != 0;
    if (result.environments != 0) objective(all, result);

    each_row([&](auto& row, double weight, const environment& group, int half) {
        if (!row.wants_gradients()) return;
        if (weight == 0) return row.fill(0);
        const auto prediction = row.predict_input(0);
        if (!has_answer(prediction, row.label)) return row.fill(prediction.what() == fault::masked_row ? 0 : no_number);
        row.sink.factor = weight * row.upstream;
        const double ahead = lead(row, prediction), of_label = row(0, row.label);
        for (std::ptrdiff_t k = 0; k != row.classes(); ++k) {
            const double slope = prediction.slope(k, row.label);
            const double likely = prediction.probability(k), bend = likely == 0 ? 0 : likely * ((row(0, k) - of_label) - ahead);
            row.put(0, k, group.to_risk * slope + group.to_slope[half] * (slope + bend));
        }
    });
    return result;
}

} // namespace car::inline CAR_ABI::detail
