// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "estimator.hpp" // the estimators
#include "plug_in.hpp"   // those of discrete variables: back-door strata, front door

#include <optional> // clipping and trimming, if asked for
#include <string>   // messages

namespace car::inline CAR_ABI {

/// A study, or a batch of its rows. What an estimator does not read need not be given.
struct treatment_data {
    label_view treatment = {};                   ///< N: 0 or 1
    vector_view<const double> outcome = {};      ///< N: y
    vector_view<const double> propensity = {};   ///< N: e = P(t = 1 | x)
    vector_view<const double> control_mean = {}; ///< N: mu0 = E[y | x, t = 0]
    vector_view<const double> treated_mean = {}; ///< N: mu1 = E[y | x, t = 1]
    label_view clusters = {};                    ///< N: rows of one cluster are not independent
};

struct treatment_options {
    double level = 0.95; ///< of the interval, between 0 and 1
    enum interval interval = interval::student_t;
    std::optional<double> clip = {}; ///< propensities are moved into [clip, 1 - clip], and counted
    std::optional<double> trim = {}; ///< rows with a propensity outside [trim, 1 - trim] are left out, and counted: another population
    std::int64_t resamples = 1000;   ///< of a bootstrap interval
    std::uint64_t seed = 0;          ///< of a bootstrap interval
    std::int64_t first_row = 0;      ///< the number of the first row in the whole sample, where a bootstrap is split
};

namespace detail {

inline void check_share(const checker& check, const char* name, const std::optional<double>& share) {
    if (share && !(*share >= 0 && *share < 0.5))
        check.fail(std::string(name) + " is " + std::to_string(*share) + ", expected 0 or more and less than 0.5");
}

inline void check_study(const checker& check, const treatment_data& data, bool propensity, bool control_mean, bool treated_mean) {
    const std::ptrdiff_t rows = data.treatment.size();
    check_arms(check, data.treatment);
    check.shape(footprint_of("outcome", data.outcome), rows, 1);
    if (propensity) check.shape(footprint_of("propensity", data.propensity), rows, 1);
    if (control_mean) check.shape(footprint_of("control_mean", data.control_mean), rows, 1);
    if (treated_mean) check.shape(footprint_of("treated_mean", data.treated_mean), rows, 1);
    if (data.clusters.data()) check.shape(footprint_of("clusters", data.clusters), rows, 1);
}

} // namespace detail

/// A study in a stream: the state of an estimator. Accumulators of shards merge.
///
/// Requires  merging: the same estimator and options, but for first_row.
/// Numerics  any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error).
/// Cost      each array read once. The state has one size, but for the clusters and the resamples of a bootstrap.
template <estimator Estimator>
class treatment_accumulator {
    Estimator how_;
    treatment_options options_;
    detail::sample<Estimator::features> data_;
    std::int64_t rows_ = 0, treated_ = 0, clipped_ = 0, trimmed_ = 0, outside_ = 0, unknown_ = 0; ///< propensities: outside (0, 1), NaN

    detail::interval_options interval() const { return {options_.level, options_.interval}; }

  public:
    explicit treatment_accumulator(const Estimator& how, const treatment_options& options = {}) : how_(how), options_(options) {
        const detail::checker check("treatment");
        detail::check_interval(check, interval(), options.resamples);
        detail::check_share(check, "clip", options.clip);
        detail::check_share(check, "trim", options.trim);
        data_ = detail::sample<Estimator::features>({options.seed, detail::kept(interval(), options.resamples)});
    }

    /// Adds rows: as car::treatment.
    row_status add(const treatment_data& data) {
        const detail::checker check("treatment");
        constexpr bool propensity = Estimator::reads_propensity, means = Estimator::reads_means;
        detail::check_study(check, data, propensity || options_.trim, means, means && !std::same_as<Estimator, aipw_treated>);
        if constexpr (std::same_as<Estimator, t_learner>)
            check.require(!data.clusters.data() && options_.interval != interval::bootstrap,
                          "clusters or a bootstrap are given, expected neither for a T-learner: its standard error is of independent rows");
        check.same_units(data.outcome.size == 0 || data_.takes(data.clusters.data() != nullptr));
        row_status status;
        const auto value = [](const vector_view<const double>& values, std::ptrdiff_t i) { return values ? values[i] : 0.0; };
        for (std::ptrdiff_t i = 0; i != data.outcome.size; ++i, ++rows_) {
            treatment_row row{data.treatment[i] == 1, data.outcome[i], value(data.propensity, i), value(data.control_mean, i),
                              value(data.treated_mean, i)};
            if (options_.trim && (row.propensity < *options_.trim || row.propensity > 1 - *options_.trim)) {
                ++trimmed_;
                continue;
            }
            if (options_.clip && propensity) {
                const double inside = std::clamp(row.propensity, *options_.clip, 1 - *options_.clip);
                clipped_ += inside != row.propensity && !std::isnan(row.propensity);
                row.propensity = inside;
            }
            treated_ += row.treated;
            if (propensity && (row.propensity <= 0 || row.propensity >= 1)) ++outside_;
            const bool is_unknown = (propensity || options_.trim) && std::isnan(row.propensity);
            unknown_ += is_unknown;
            const auto features = how_.of(row);
            const bool is_finite = std::all_of(features.begin(), features.end(), [](double feature) { return std::isfinite(feature); });
            if ((is_unknown || !is_finite) && status.rows++ == 0) status = {fault::not_finite, i, 1};
            if (data.clusters.data())
                data_.add_to_cluster(features, data.clusters.name(i));
            else
                data_.add(features, options_.first_row + rows_);
        }
        return status;
    }

    void merge(const treatment_accumulator& other) {
        const detail::checker check("treatment_accumulator::merge");
        const treatment_options &a = options_, &b = other.options_;
        check.require(a.level == b.level && a.interval == b.interval && a.clip == b.clip && a.trim == b.trim &&
                          a.resamples == b.resamples && a.seed == b.seed,
                      "other has another level, interval, clip, trim, number of resamples or seed");
        if constexpr (std::equality_comparable<Estimator>) // it has options of its own
            check.require(how_ == other.how_, "other has an estimator with other options");
        check.same_units(data_.takes(other.data_));
        data_.merge(other.data_);
        rows_ += other.rows_, treated_ += other.treated_, clipped_ += other.clipped_, trimmed_ += other.trimmed_,
            outside_ += other.outside_, unknown_ += other.unknown_;
    }

    treatment_result result() const {
        std::optional<double> variance, degrees;
        if constexpr (requires { Estimator::variance(data_.rows()); })
            if (!data_.clustered()) variance = Estimator::variance(data_.rows());
        if constexpr (requires { Estimator::degrees(data_.rows()); })
            if (variance) degrees = Estimator::degrees(data_.rows());
        const auto at = [&](const auto& sums) { return how_.at(sums); };
        treatment_result result{detail::infer(data_, interval(), at, variance, degrees)};
        result.treated = treated_;
        result.control = result.count - treated_;
        result.clipped = clipped_;
        result.trimmed = trimmed_;
        if (result.count == 0) return result;
        if (outside_ != 0)
            detail::undefined(result, reason::propensity_outside);
        else if (result.treated == 0)
            detail::undefined(result, reason::no_treated);
        else if (result.control == 0)
            detail::undefined(result, reason::no_control);
        else if (const auto sums = data_.rows().sums();
                 unknown_ != 0 || std::any_of(sums.begin(), sums.end(), [](auto& s) { return !std::isfinite(s.high); }))
            detail::undefined(result, reason::not_finite);
        return result;
    }
};

/// The effect of a treatment t in {0, 1} on an outcome, from given nuisances, by one of the estimators
///
///     difference_in_means, horvitz_thompson, hajek (five weightings), t_learner, aipw, aipw_treated
///
/// whose contracts have the formulas: `car::treatment(car::aipw{}, {.treatment = t, .outcome = y, ...})`.
///
/// Shapes    every array of `data` that the estimator reads: N, any stride.
/// Requires  sizes that agree, treatment 0 or 1, level in (0, 1), clip and trim in [0, 0.5); else throws std::invalid_argument.
/// Numerics  features in double, sums in double-double. No treated, no control, a propensity not in (0, 1), a value that is not finite:
///           NaN and the reason.
/// Cost      each array read once; allocates nothing but the sums of clusters and of the resamples of a bootstrap.
/// Source    Horvitz and Thompson 1952; Hajek 1971; Robins, Rotnitzky and Zhao 1994; Li, Morgan and Zaslavsky 2018.
template <estimator Estimator>
treatment_result treatment(const Estimator& how, const treatment_data& data, const treatment_options& options = {}) {
    treatment_accumulator<Estimator> all(how, options);
    const row_status status = all.add(data);
    treatment_result result = all.result();
    result.status = status;
    return result;
}

/// The weights of rows, as car::hajek takes them; stabilised by the share of the treated among these rows.
///
/// Shapes    treatment, propensity, weights: N.
/// Requires  sizes that agree, treatment 0 or 1, weights apart from propensity; else throws std::invalid_argument, nothing written.
/// Numerics  within 3 u. A propensity not in (0, 1) gives NaN.
/// Cost      each array read once, the treatment twice; allocates nothing.
inline void propensity_weights(enum weighting how, const label_view& treatment, const vector_view<const double>& propensity,
                               const vector_view<double>& weights) {
    const detail::checker check("propensity_weights");
    detail::check_arms(check, treatment);
    check.shape(detail::footprint_of("propensity", propensity), treatment.size(), 1);
    check.shape(detail::footprint_of("weights", weights), treatment.size(), 1);
    check.separate({{detail::footprint_of("weights", weights)}},
                   {detail::footprint_of("propensity", propensity), detail::footprint_of("treatment", treatment)});
    double treated = 0;
    for (std::ptrdiff_t i = 0; i != weights.size; ++i) treated += static_cast<double>(treatment[i]);
    const auto rows = static_cast<double>(weights.size);
    for (std::ptrdiff_t i = 0; i != weights.size; ++i) {
        const treatment_row row{.treated = treatment[i] == 1, .propensity = propensity[i]};
        const double of_arm = how != weighting::stabilised ? 1 : (row.treated ? treated : rows - treated) / rows;
        const bool inside = row.propensity > 0 && row.propensity < 1;
        weights[i] = inside ? detail::weight_of(how, row, of_arm) : std::numeric_limits<double>::quiet_NaN();
    }
}

} // namespace car::inline CAR_ABI
