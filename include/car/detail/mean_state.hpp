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
            data.add_to_cluster(features, clusters[i]);
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
    double_double mean;
    double members = 0, square = 0, spread = 0, positive = 0;
    for (const mean_state& group : groups) {
        if (group.data.rows().count() == 0) continue;
        const estimate one = group.result(options);
        ++members;
        mean += mean_state::at(group.data.rows().sums()).value;
        square += one.standard_error * one.standard_error;
        spread += one.standard_error * one.standard_error * one.standard_error * one.standard_error / static_cast<double>(one.units - 1);
        positive += one.positive;
        result.count += one.count;
        result.units += one.units;
        if (result.reason == reason::none) result.reason = one.reason;
    }
    if (members == 0) return undefined(result, reason::no_rows);
    result.mean = (mean / double_double{members}).high;
    if (!std::isfinite(result.mean)) return undefined(result, reason::not_finite);
    result.positive = positive / members;
    if (std::isnan(square)) return result;
    const double degrees = square * square / spread; // Welch's; 0 / 0 of groups without spread, whose interval is a point
    set_error(result, square / (members * members), degrees >= 1 ? degrees : 1, options);
    if (options.kind == interval::bootstrap) {
        std::vector<double> values(groups.front().data.replicates().size());
        for (std::size_t b = 0; b != values.size(); ++b)
            for (const mean_state& group : groups)
                if (group.data.rows().count() != 0) values[b] += mean_state::at(group.data.replicates().sums(b)).value.high / members;
        set_percentiles(result, values, options.level);
    }
    return result;
}

} // namespace car::inline CAR_ABI::detail
