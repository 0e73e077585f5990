// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wide_sum.hpp" // sums of about 90 bits
#include "random.hpp"   // the resamples' counts

#include <array>   // the features of a row
#include <cstddef> // std::size_t, std::ptrdiff_t
#include <cstdint> // std::int64_t
#include <map>     // the clusters
#include <utility> // std::move
#include <vector>  // the resamples

namespace car::inline CAR_ABI::detail {

/// Count, sums, and sums of products of the features of a sample's rows, to about 90 bits whatever the order. They merge by addition.
template <std::size_t Features>
class moments {
    std::int64_t count_ = 0;
    std::array<wide_sum, Features> sums_{};
    std::array<wide_sum, Features*(Features + 1) / 2> products_{};

    static constexpr std::size_t at(std::size_t j, std::size_t k) { return j < k ? at(k, j) : j * (j + 1) / 2 + k; }

  public:
    void add(const std::array<double, Features>& row) {
        ++count_;
        for (std::size_t j = 0; j != Features; ++j) {
            if (row[j] == 0) continue; // the features of the other arm
            sums_[j].add(row[j]);
            for (std::size_t k = 0; k <= j; ++k) products_[at(j, k)].add_product(row[j], row[k]);
        }
        if (count_ % 1024 == 0) order();
    }
    /// A row, or a cluster, whose features are sums themselves.
    void add(const std::array<wide_sum, Features>& unit) {
        ++count_;
        for (std::size_t j = 0; j != Features; ++j) {
            sums_[j].add(unit[j].value());
            for (std::size_t k = 0; k <= j; ++k) products_[at(j, k)].add(unit[j].value() * unit[k].value());
        }
    }
    void merge(const moments& other) {
        count_ += other.count_;
        for (std::size_t j = 0; j != sums_.size(); ++j) sums_[j].add(other.sums_[j].value());
        for (std::size_t j = 0; j != products_.size(); ++j) products_[j].add(other.products_[j].value());
    }
    void order() {
        for (wide_sum& sum : sums_) sum.order();
        for (wide_sum& sum : products_) sum.order();
    }

    std::int64_t count() const { return count_; }
    double_double sum(std::size_t j) const { return sums_[j].value(); }
    double_double product(std::size_t j, std::size_t k) const { return products_[at(j, k)].value(); }
    std::array<double_double, Features> sums() const {
        std::array<double_double, Features> values;
        for (std::size_t j = 0; j != Features; ++j) values[j] = sum(j);
        return values;
    }
    /// sum over rows of (slope . row)^2
    double_double square(const std::array<double_double, Features>& slope) const {
        double_double total;
        for (std::size_t j = 0; j != Features; ++j)
            for (std::size_t k = 0; k != Features; ++k) total += slope[j] * slope[k] * product(j, k);
        return total;
    }
};

/// The resamples of a sample: in each, a unit counts Poisson(1) times. Holds the sums of the features of every resample.
template <std::size_t Features>
class resamples {
    struct resample {
        std::uint64_t key = 0;
        std::array<wide_sum, Features> sums{};
    };
    std::int64_t added_ = 0;
    std::vector<resample> all_;
    static constexpr std::uint64_t step = 0x9e3779b97f4a7c15u;

  public:
    resamples() = default;
    resamples(std::uint64_t seed, std::size_t count) : all_(count) {
        for (std::size_t b = 0; b != count; ++b) all_[b].key = mix(mix(seed) + (b + 1) * step);
    }

    void add(const std::array<double, Features>& row, std::int64_t unit) {
        for (resample& one : all_) {
            const int times = poisson(mix(one.key + static_cast<std::uint64_t>(unit) * step));
            if (times == 0) continue;
            for (std::size_t j = 0; j != Features; ++j) one.sums[j].add_product(times, row[j]);
        }
        if (++added_ % 1024 == 0)
            for (resample& one : all_)
                for (wide_sum& sum : one.sums) sum.order();
    }
    void merge(const resamples& other) {
        for (std::size_t b = 0; b != all_.size(); ++b)
            for (std::size_t j = 0; j != Features; ++j) all_[b].sums[j].add(other.all_[b].sums[j].value());
    }
    std::size_t size() const { return all_.size(); }
    std::array<double_double, Features> sums(std::size_t b) const {
        std::array<double_double, Features> values;
        for (std::size_t j = 0; j != Features; ++j) values[j] = all_[b].sums[j].value();
        return values;
    }
};

/// All that an estimate and its error need to know of a sample.
template <std::size_t Features>
class sample {
    moments<Features> rows_;
    std::map<std::int64_t, std::array<wide_sum, Features>> clusters_; // empty where rows are independent
    resamples<Features> resamples_;

  public:
    using row = std::array<double, Features>;

    sample() = default;
    explicit sample(resamples<Features> empty) : resamples_(std::move(empty)) {}

    /// `unit` is the row's number in the whole sample.
    void add(const row& features, std::int64_t unit) {
        rows_.add(features);
        resamples_.add(features, unit);
    }
    void add_to_cluster(const row& features, std::int64_t cluster) {
        rows_.add(features);
        resamples_.add(features, cluster);
        auto& sums = clusters_[cluster];
        for (std::size_t j = 0; j != Features; ++j) sums[j].add(features[j]);
    }
    void merge(const sample& other) {
        rows_.merge(other.rows_);
        resamples_.merge(other.resamples_);
        for (const auto& [cluster, sums] : other.clusters_) {
            auto& own = clusters_[cluster];
            for (std::size_t j = 0; j != Features; ++j) own[j].add(sums[j].value());
        }
    }

    bool clustered() const { return !clusters_.empty(); }
    /// Rows with clusters and rows without are not one sample.
    bool takes(bool clusters) const { return rows_.count() == 0 || clusters == clustered(); }
    bool takes(const sample& other) const { return other.rows_.count() == 0 || takes(other.clustered()); }
    const moments<Features>& rows() const { return rows_; }
    const resamples<Features>& replicates() const { return resamples_; }
    /// The moments of what is independent: of the rows, or of the sums over clusters.
    moments<Features> units() const {
        if (!clustered()) return rows_;
        moments<Features> result;
        for (const auto& cluster : clusters_) result.add(cluster.second);
        return result;
    }
};

} // namespace car::inline CAR_ABI::detail
