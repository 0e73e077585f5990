// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inference.hpp" // estimates, intervals

#include <algorithm> // std::any_of, std::all_of
#include <map>       // the clusters' parts of cells
#include <utility>   // std::pair, std::move
#include <vector>    // the cells

namespace car::inline CAR_ABI {

struct treatment_result : estimate {
    std::int64_t treated = 0, control = 0; ///< rows of each arm, of those that the mean is of
    std::int64_t clipped = 0, trimmed = 0; ///< rows whose propensity was moved, and rows left out for theirs
    std::int64_t empty_cells = 0;          ///< strata without treated or without control rows; combinations that were not seen
    std::int64_t dropped = 0;              ///< rows left out with them
};

namespace detail {

inline void check_arms(const checker& check, const label_view& treatment) {
    check.require(treatment.size() >= 0, "treatment has no size, expected a vector");
    check.require(treatment.size() == 0 || treatment.data() != nullptr, "treatment is null");
    for (std::ptrdiff_t i = 0; i != treatment.size(); ++i)
        if (treatment[i] != 0 && treatment[i] != 1)
            check.fail("treatment in row " + std::to_string(i) + " is " + std::to_string(treatment[i]) + ", expected 0 or 1");
}

inline void check_category(const checker& check, const char* name, const label_view& values, std::ptrdiff_t rows, std::int64_t count) {
    if (values.size() != rows)
        check.fail(std::string(name) + " has size " + std::to_string(values.size()) + ", expected " + std::to_string(rows));
    if (rows != 0 && values.data() == nullptr) check.fail(std::string(name) + " is null");
    for (std::ptrdiff_t i = 0; i != rows; ++i)
        if (values[i] < 0 || values[i] >= count)
            check.fail(std::string(name) + " in row " + std::to_string(i) + " is " + std::to_string(values[i]) + ", expected 0 to " +
                       std::to_string(count - 1));
}

/// Rows and sum of the outcome in one cell of a table.
struct cell {
    double_double count, sum;
    double_double mean() const { return sum / count; }
    bool empty() const { return count.high == 0; }
};

/// A plug-in estimate of a table, and the influence of a row: `level + slope * (outcome - mean of its cell)`.
struct table_evaluation {
    double_double value;
    std::vector<double_double> level, slope; ///< of each cell
    std::vector<bool> left_out;              ///< cells whose rows are dropped
    std::int64_t empty_cells = 0, dropped = 0;

    explicit table_evaluation(std::size_t cells) : level(cells), slope(cells), left_out(cells) {}
};

/// A sample whose variables are all discrete but for the outcome: moments of the outcome in each cell of their table. Merges.
class table {
    std::vector<moments<1>> cells_;
    std::vector<resamples<2>> resamples_;
    std::map<std::pair<std::int64_t, std::size_t>, std::pair<double, wide_sum>> clusters_; // rows and sum of (cluster, cell)

  public:
    table(std::size_t cells, std::uint64_t seed, std::size_t count) : cells_(cells) {
        if (count != 0) resamples_.resize(cells, resamples<2>(seed, count));
    }

    void add(std::size_t at, double outcome, std::int64_t row, const label_view& clusters, std::ptrdiff_t i) {
        cells_[at].add(std::array<double, 1>{outcome});
        const bool clustered = clusters.data() != nullptr;
        if (!resamples_.empty()) resamples_[at].add({1, outcome}, clustered ? clusters.name(i) : row);
        if (!clustered) return;
        auto& part = clusters_[{clusters.name(i), at}];
        ++part.first;
        part.second.add(outcome);
    }
    /// As detail::sample has them.
    bool is_empty() const {
        return std::all_of(cells_.begin(), cells_.end(), [](const auto& of) { return of.count() == 0; });
    }
    bool takes(bool clusters) const { return is_empty() || clusters != clusters_.empty(); }
    bool takes(const table& other) const { return other.is_empty() || takes(!other.clusters_.empty()); }

    void merge(const table& other) {
        for (std::size_t k = 0; k != cells_.size(); ++k) cells_[k].merge(other.cells_[k]);
        for (std::size_t k = 0; k != resamples_.size(); ++k) resamples_[k].merge(other.resamples_[k]);
        for (const auto& [key, part] : other.clusters_) {
            auto& own = clusters_[key];
            own.first += part.first;
            own.second.add(part.second.value());
        }
    }

    std::vector<cell> cells() const {
        std::vector<cell> all;
        for (const auto& of : cells_) all.push_back({{static_cast<double>(of.count())}, of.sum(0)});
        return all;
    }

    /// With the influence of rows i in cell k: l_k + b_k (y_i - mean_k), rows n, and s_k^2 with n_k - 1:
    ///
    ///     SE^2 = sum_k n_k l_k^2 / (n (n - 1)) + sum_k b_k^2 n_k s_k^2 / n^2
    ///
    /// or, with clusters, G / (G - 1) sum over clusters of (sum of their influences)^2 / n^2.
    template <class At>
    treatment_result result(const interval_options& options, At at) const {
        const std::vector<cell> all = cells();
        const table_evaluation found = at(all);
        treatment_result result;
        result.empty_cells = found.empty_cells;
        result.dropped = found.dropped;
        for (const auto& of : cells_) result.count += of.count();
        result.count -= found.dropped;
        result.mean = found.value.high;
        const auto n = static_cast<double>(result.count);
        double_double square;
        double units = n;
        if (clusters_.empty()) {
            for (std::size_t k = 0; k != all.size(); ++k) {
                if (all[k].empty()) continue;
                square += found.level[k] * found.level[k] * all[k].count * double_double{n / (n - 1)};
                if (found.slope[k].high == 0) continue;
                const double within = variance_of_mean(all[k].count, all[k].sum, cells_[k].product(0, 0));
                square += found.slope[k] * found.slope[k] * all[k].count * all[k].count * double_double{within};
            }
        } else {
            units = 0;
            for (auto part = clusters_.begin(); part != clusters_.end();) {
                double_double sum;
                bool is_left_out = true;
                for (const std::int64_t cluster = part->first.first; part != clusters_.end() && part->first.first == cluster; ++part) {
                    const std::size_t k = part->first.second;
                    if (found.left_out[k]) continue;
                    is_left_out = false;
                    const double_double rows{part->second.first};
                    sum += rows * found.level[k] + found.slope[k] * (part->second.second.value() - rows * all[k].mean());
                }
                square += sum * sum;
                units += is_left_out ? 0 : 1;
            }
            square = square * double_double{units / (units - 1)};
        }
        result.units = static_cast<std::int64_t>(units);
        if (!std::isfinite(result.mean)) return result;
        set_error(result, square.high / (n * n), units - 1, options);
        if (!std::isfinite(result.standard_error)) {
            result.standard_error = result.lower = result.upper = std::numeric_limits<double>::quiet_NaN();
            result.reason = reason::too_few;
        } else if (options.kind == interval::bootstrap) {
            std::vector<double> values;
            for (std::size_t b = 0; b != resamples_.front().size(); ++b) {
                std::vector<cell> drawn;
                for (const auto& of : resamples_) drawn.push_back({of.sums(b)[0], of.sums(b)[1]});
                if (std::any_of(drawn.begin(), drawn.end(), [](const cell& of) { return !of.empty(); }))
                    values.push_back(at(drawn).value.high); // a resample of no unit at all is none
            }
            set_percentiles(result, values, options.level);
        }
        return result;
    }
};

} // namespace detail

} // namespace car::inline CAR_ABI
