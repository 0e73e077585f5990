// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inference.hpp" // infer

#include <cmath>  // std::isfinite
#include <vector> // groups

namespace car::inline CAR_ABI::detail {

/// What a weighted mean needs to know of a sample: features are the weight and weight times value.
struct mean_state {
    sample<2> data;
    wide_sum positive;
    bool negative_weight = false;

    void add(double weight, double value, std::int64_t row, const label_view& clusters, std::ptrdiff_t i) {
        negative_weight = negative_weight || weight < 0;
        const std::array<double, 2> features{weight, weight * value};
        if (clusters.data())
            data.add_to_cluster(features, clusters.name(i));
        else
            data.add(features, row);
        if (value > 0) positive.add(weight);
    }
    void merge(const mean_state& other) {
        data.merge(other.data);
        positive.add(other.positive.value());
        negative_weight = negative_weight || other.negative_weight;
    }
    static evaluation<2> at(const std::array<double_double, 2>& sums) {
        evaluation<2> mean;
        mean.add_ratio(sums, 1, 0);
        return mean;
    }
    estimate result(const interval_options& options) const {
        estimate found = infer(data, options, at);
        const double total = data.rows().sum(0).high;
        if (negative_weight) return undefined(found, reason::bad_weight);
        if (std::isfinite(found.mean)) found.positive = positive.value().high / total;
        return found;
    }
};

/// The mean of the means of the groups that have rows; groups are independent.
inline estimate mean_of_groups(const std::vector<mean_state>& groups, const interval_options& options) {
    estimate result;
    std::vector<const mean_state*> members;
    std::vector<estimate> found;
    double_double mean;
    double square = 0, positive = 0;
    bool bad_weight = false;
    for (const mean_state& group : groups) {
        if (group.data.rows().count() == 0) continue;
        members.push_back(&group);
        const estimate& one = found.emplace_back(group.result(options));
        mean += mean_state::at(group.data.rows().sums()).value;
        square += one.standard_error * one.standard_error;
        positive += one.positive;
        bad_weight = bad_weight || group.negative_weight;
        result.count += one.count;
        result.units += one.units;
        if (result.reason == reason::none) result.reason = one.reason;
    }
    if (members.empty()) return undefined(result, reason::no_rows);
    if (bad_weight) return undefined(result, reason::bad_weight);
    const auto count = static_cast<double>(members.size());
    result.mean = (mean / double_double{count}).high;
    if (!std::isfinite(result.mean)) return undefined(result, reason::not_finite);
    result.positive = positive / count;
    if (std::isnan(square)) return result;
    welch_degrees degrees(square);
    for (const estimate& one : found) degrees.add(one.standard_error * one.standard_error, static_cast<double>(one.units - 1));
    set_error(result, square / (count * count), degrees.value(), options);
    if (options.kind == interval::bootstrap) {
        std::vector<double> values;
        for (std::size_t b = 0; b != groups.front().data.replicates().size(); ++b) {
            double value = 0;
            bool drawn = false;
            for (const mean_state* group : members) {
                const auto sums = group->data.replicates().sums(b);
                drawn = drawn || is_drawn(sums);
                value += mean_state::at(sums).value.high / count;
            }
            if (drawn) values.push_back(value);
        }
        set_percentiles(result, values, options.level);
    }
    return result;
}

} // namespace car::inline CAR_ABI::detail
