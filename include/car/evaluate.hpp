// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/mean_state.hpp" // means with intervals

#include <algorithm> // std::upper_bound, std::sort
#include <span>      // edges of bins, groups
#include <string>    // messages
#include <vector>    // the groups of a profile

namespace car::inline CAR_ABI {

struct top_k_options {
    std::int64_t k = 1;
    std::int64_t ignore_index = -100;
};

/// Is the label among the k largest logits of its row? Equal logits count in the order of their classes.
///
///     hits[i] = 1 if fewer than k classes j have p[i,j] > p[i,y], or p[i,j] = p[i,y] and j < y;  else 0
///
/// Shapes    p: N x C logits, or probabilities. labels, hits: N.
/// Requires  shapes that agree, 1 <= k <= C, labels in [0, C) or ignore_index; else throws std::invalid_argument, nothing written.
/// Numerics  exact. A NaN in the row makes its hit NaN and is reported; an ignored row's is NaN and is not.
/// Cost      p read once; allocates nothing.
template <matrix P>
row_status top_k(const P& p, const label_view& labels, vector_view<double> hits, const top_k_options& options = {}) {
    const detail::checker check("top_k");
    const matrix_view<const scalar_of<const P>> logits = view(p);
    check.readable(detail::footprint_of("p", logits));
    check.shape(detail::footprint_of("hits", hits), logits.rows, 1);
    check.labels(labels, logits.rows, logits.cols, options.ignore_index);
    if (options.k < 1 || options.k > logits.cols)
        check.fail("k is " + std::to_string(options.k) + ", expected 1 to " + std::to_string(logits.cols));
    check.separate({{detail::footprint_of("hits", hits)}}, {detail::footprint_of("p", logits), detail::footprint_of("labels", labels)});
    row_status status;
    for (std::ptrdiff_t i = 0; i != logits.rows; ++i) {
        hits[i] = std::numeric_limits<double>::quiet_NaN();
        if (labels[i] == options.ignore_index) continue;
        const auto label = static_cast<std::ptrdiff_t>(labels[i]);
        std::int64_t above = 0;
        bool defined = true;
        for (std::ptrdiff_t j = 0; j != logits.cols; ++j) {
            defined = defined && !std::isnan(logits(i, j));
            above += logits(i, j) > logits(i, label) || (logits(i, j) == logits(i, label) && j < label);
        }
        if (defined)
            hits[i] = above < options.k ? 1 : 0;
        else if (status.rows++ == 0)
            status = {fault::not_finite, i, 1};
    }
    return status;
}

/// The bin of each value: of an occlusion degree, an area ratio, a duration ratio.
///
///     groups[i] = the number of edges that are at most values[i]: 0 below the first, edges.size() from the last on;  -1 for a NaN
///
/// Shapes    values, groups: N.
/// Requires  as many groups as values, edges that rise; else throws std::invalid_argument, nothing written.
inline void bins(const vector_view<const double>& values, std::span<const double> edges, const vector_view<std::int64_t>& groups) {
    const detail::checker check("bins");
    check.shape(detail::footprint_of("groups", groups), values.size, 1);
    check.shape(detail::footprint_of("values", values), values.size, 1);
    check.require(edges.empty() || !std::isnan(edges[0]), "edge 0 is NaN");
    for (std::size_t k = 1; k < edges.size(); ++k)
        if (!(edges[k - 1] < edges[k])) check.fail("edge " + std::to_string(k) + " is not above the one before it");
    for (std::ptrdiff_t i = 0; i != values.size; ++i)
        groups[i] = std::isnan(values[i]) ? -1 : std::upper_bound(edges.begin(), edges.end(), values[i]) - edges.begin();
}

struct profile_options {
    double level = 0.95; ///< of the interval, between 0 and 1
    enum interval interval = interval::student_t;
    std::int64_t resamples = 1000; ///< of a bootstrap interval
    std::uint64_t seed = 0;        ///< of a bootstrap interval
    std::int64_t first_row = 0;    ///< the number of the first row in the whole sample, where a bootstrap is split
};

/// Means by group, each with its interval: accuracy by class, parent class, occlusion degree, area ratio or duration ratio; the drop
/// from one test set to another. A stream of batches; profiles of shards merge.
///
///     mean, standard_error, interval of the values of a group, of several groups together, of all, and of the groups' means (macro)
///     Wilson: (m + z^2/2n -+ z sqrt(m (1 - m)/n + z^2/4n^2)) / (1 + z^2/n), which does not shrink to a point at 0 and 1 as t does
///
/// The drop is paired, a difference in each sample: the three degrees of occlusion of a clip are not independent. Where several values
/// come from one clip, the clip is the cluster.
///
/// Requires  groups >= 1, level in (0, 1); Wilson's interval only of values 0 and 1 without clusters; else throws std::invalid_argument.
/// Numerics  any split, order or merge agrees within 4 units in the last place of max(|mean|, standard error).
/// Cost      each value read once; 112 bytes for every group, 32 more for each of its resamples, and the clusters.
/// Source    OccludeNet, section 3.3, Figures 4, 5 and 8, Table 3.
class profile {
    profile_options options_;
    std::int64_t rows_ = 0;
    std::vector<detail::mean_state> groups_;

    detail::interval_options interval() const { return {options_.level, options_.interval}; }
    detail::mean_state empty() const { return {detail::sample<2>({options_.seed, detail::kept(interval(), options_.resamples)}), {}}; }

    estimate result(const detail::mean_state& state) const {
        estimate found = state.result(interval());
        if (options_.interval != interval::wilson || std::isnan(found.mean)) return found;
        const double z = detail::normal_quantile(options_.level), n = static_cast<double>(found.count), z2 = z * z / n;
        const double centre = (found.mean + z2 / 2) / (1 + z2);
        const double half = std::sqrt(found.mean * (1 - found.mean) * z2 + z2 * z2 / 4) / (1 + z2);
        found.lower = std::max(0.0, centre - half);
        found.upper = std::min(1.0, centre + half);
        return found;
    }

    template <class Value>
    void add_rows(const detail::checker& check, std::ptrdiff_t rows, Value value, const label_view& groups, const label_view& clusters) {
        if (groups.size() != rows)
            check.fail("groups has size " + std::to_string(groups.size()) + ", expected " + std::to_string(rows) + ", one for each value");
        check.require(rows == 0 || groups.data() != nullptr, "groups is null");
        if (clusters.data()) check.shape(detail::footprint_of("clusters", clusters), rows, 1);
        for (const auto& group : groups_) check.same_units(rows == 0 || group.data.takes(clusters.data() != nullptr));
        check.require(!clusters.data() || options_.interval != interval::wilson, "clusters are given, expected none for Wilson's interval");
        for (std::ptrdiff_t i = 0; i != rows; ++i) {
            if (groups[i] < -1 || groups[i] >= size())
                check.fail("group in row " + std::to_string(i) + " is " + std::to_string(groups[i]) + ", expected -1 to " +
                           std::to_string(size() - 1));
            if (options_.interval == interval::wilson && value(i) != 0 && value(i) != 1 && !std::isnan(value(i)))
                check.fail("value in row " + std::to_string(i) + " is " + std::to_string(value(i)) +
                           ", expected 0 or 1 for Wilson's interval");
        }
        for (std::ptrdiff_t i = 0; i != rows; ++i, ++rows_)
            if (groups[i] != -1) groups_[static_cast<std::size_t>(groups[i])].add(1, value(i), options_.first_row + rows_, clusters, i);
    }

  public:
    explicit profile(std::ptrdiff_t groups, const profile_options& options = {}) : options_(options) {
        const detail::checker check("profile");
        check.require(groups >= 1, "groups is less than 1");
        detail::check_interval(check, interval(), options.resamples, true);
        groups_.resize(static_cast<std::size_t>(groups), empty());
    }
    std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(groups_.size()); }

    /// Adds values with their groups; a row of group -1 is left out.
    void add(const vector_view<const double>& values, const label_view& groups, const label_view& clusters = {}) {
        const detail::checker check("profile::add");
        check.shape(detail::footprint_of("values", values), values.size, 1);
        add_rows(
            check, values.size, [&](std::ptrdiff_t i) { return values[i]; }, groups, clusters);
    }
    /// Adds before - after of each row: the drop.
    void add_drop(const vector_view<const double>& before, const vector_view<const double>& after, const label_view& groups,
                  const label_view& clusters = {}) {
        const detail::checker check("profile::add_drop");
        check.shape(detail::footprint_of("before", before), before.size, 1);
        check.shape(detail::footprint_of("after", after), before.size, 1);
        add_rows(
            check, before.size, [&](std::ptrdiff_t i) { return before[i] - after[i]; }, groups, clusters);
    }
    void merge(const profile& other) {
        const detail::checker check("profile::merge");
        if (other.size() != size()) check.fail("other has " + std::to_string(other.size()) + " groups, expected " + std::to_string(size()));
        const profile_options &a = options_, &b = other.options_;
        check.require(a.level == b.level && a.interval == b.interval && a.resamples == b.resamples && a.seed == b.seed,
                      "other has another level, interval, number of resamples or seed");
        for (const auto& group : groups_)
            for (const auto& from : other.groups_) check.same_units(group.data.takes(from.data));
        rows_ += other.rows_;
        for (std::size_t k = 0; k != groups_.size(); ++k) groups_[k].merge(other.groups_[k]);
    }

    /// Several groups as one: the classes of a parent class. A class may have several parents.
    estimate of(std::span<const std::ptrdiff_t> groups) const {
        detail::mean_state together = empty();
        for (const std::ptrdiff_t group : groups) {
            if (group < 0 || group >= size())
                detail::checker("profile::of").fail("group is " + std::to_string(group) + ", expected 0 to " + std::to_string(size() - 1));
            together.merge(groups_[static_cast<std::size_t>(group)]);
        }
        return result(together);
    }
    estimate of(std::ptrdiff_t group) const { return of(std::span(&group, 1)); }
    estimate all() const {
        detail::mean_state together = empty();
        for (const auto& group : groups_) together.merge(group);
        return result(together);
    }
    estimate macro() const { return detail::mean_of_groups(groups_, interval()); }

    /// The groups that have a mean, the largest first; equal ones in their order.
    std::vector<std::ptrdiff_t> ranked() const {
        std::vector<std::ptrdiff_t> order;
        std::vector<double> means;
        for (std::ptrdiff_t k = 0; k != size(); ++k) {
            means.push_back(of(k).mean);
            if (!std::isnan(means.back())) order.push_back(k);
        }
        std::sort(order.begin(), order.end(), [&](std::ptrdiff_t a, std::ptrdiff_t b) {
            const double first = means[static_cast<std::size_t>(a)], second = means[static_cast<std::size_t>(b)];
            return first != second ? first > second : a < b;
        });
        return order;
    }
};

} // namespace car::inline CAR_ABI
