// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../estimate.hpp" // estimate, interval, reason
#include "check.hpp"       // the options' checks
#include "moments.hpp"     // the sample
#include "quantile.hpp"    // the width of an interval

#include <algorithm> // std::sort, std::clamp, std::any_of
#include <cmath>     // std::isfinite, std::sqrt, std::floor
#include <limits>    // NaN
#include <optional>  // degrees of freedom, where they are not those of the units
#include <string>    // messages
#include <vector>    // the resamples' estimates

namespace car::inline CAR_ABI::detail {

/// A smooth function of the sums of a sample's features that does not change when all of them are scaled, and its slope in each sum.
/// Then sum over units of slope . features is 0, and slope . features n is the influence of a unit on the estimate.
template <std::size_t Features>
struct evaluation {
    double_double value;
    std::array<double_double, Features> slope{};

    /// Adds sign * sums[top] / sums[bottom].
    void add_ratio(const std::array<double_double, Features>& sums, std::size_t top, std::size_t bottom, double sign = 1) {
        const double_double share = double_double{sign} / sums[bottom], ratio = sums[top] * share;
        value += ratio;
        slope[top] += share;
        slope[bottom] += -(ratio / sums[bottom]);
    }
};

struct interval_options {
    double level;
    enum interval kind;
};

inline void check_interval(const checker& check, const interval_options& options, std::int64_t resamples, bool wilson = false) {
    if (!(options.level > 0 && options.level < 1))
        check.fail("level is " + std::to_string(options.level) + ", expected a number between 0 and 1");
    if (options.kind == interval::bootstrap && (resamples < 2 || resamples > 1'000'000))
        check.fail("resamples is " + std::to_string(resamples) + ", expected 2 to 1000000");
    if (options.kind == interval::wilson && !wilson) check.fail("interval is wilson, expected one for means that are no shares");
}

/// How many resamples a state keeps.
inline std::size_t kept(const interval_options& options, std::int64_t resamples) {
    return options.kind == interval::bootstrap ? static_cast<std::size_t>(resamples) : 0;
}

inline double width(const interval_options& options, double degrees) {
    if (options.kind == interval::normal) return normal_quantile(options.level);
    const double whole = std::floor(degrees * (1 + 0x1p-48)); // a whole number may have lost its last digits
    return student_t_quantile(options.level, static_cast<std::int64_t>(std::clamp(whole, 1.0, 1e15)));
}

inline void set_error(estimate& result, double variance, double degrees, const interval_options& options) {
    result.standard_error = std::sqrt(variance > 0 ? variance : 0 * variance); // equal values may leave -1e-32; NaN stays
    const double half = width(options, degrees) * result.standard_error;
    result.lower = result.mean - half;
    result.upper = result.mean + half;
}

/// Welch's degrees of freedom of a sum of independent estimates: 1 / sum of (their share of its variance)^2 / their own degrees.
class welch_degrees {
    double variance_, inverse_ = 0;

  public:
    explicit welch_degrees(double variance) : variance_(variance) {}
    void add(double variance, double degrees) {
        const double share = variance / variance_;
        inverse_ += share * share / degrees;
    }
    /// 1 where nothing varies: 0 / 0. The interval is a point then.
    double value() const { return inverse_ > 0 && inverse_ < 1 ? 1 / inverse_ : 1; }
};

/// Has a resample any unit?
template <std::size_t Features>
bool is_drawn(const std::array<double_double, Features>& sums) {
    return std::any_of(sums.begin(), sums.end(), [](const double_double& sum) { return sum.high != 0; });
}

/// Percentiles of the resamples' estimates, between neighbours in proportion.
inline void set_percentiles(estimate& result, std::vector<double>& values, double level) {
    result.lower = result.upper = std::numeric_limits<double>::quiet_NaN();
    if (values.size() < 2 || !std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) {
        if (result.reason == reason::none) result.reason = reason::undefined_replicate;
        return;
    }
    std::sort(values.begin(), values.end());
    const auto quantile = [&](double share) {
        const double place = share * static_cast<double>(values.size() - 1);
        const auto below = static_cast<std::size_t>(std::min(std::floor(place), static_cast<double>(values.size() - 2)));
        return values[below] + (place - static_cast<double>(below)) * (values[below + 1] - values[below]);
    };
    result.lower = quantile((1 - level) / 2);
    result.upper = quantile((1 + level) / 2);
}

/// s^2 / n of n numbers with these sums; NaN for fewer than two.
inline double variance_of_mean(const double_double& n, const double_double& sum, const double_double& squares) {
    if (!(n.high > 1)) return std::numeric_limits<double>::quiet_NaN();
    const double deviations = (squares - sum * sum / n).high;
    return (deviations > 0 ? deviations : 0 * deviations) / (n.high - 1) / n.high;
}

/// NaN, all of it, for a reason.
inline estimate& undefined(estimate& result, enum reason why) {
    result.mean = result.standard_error = result.lower = result.upper = std::numeric_limits<double>::quiet_NaN();
    result.reason = why;
    return result;
}

/// The estimate `at(sums)`, its standard error by influence function and its interval:
///
///     SE^2 = n / (n - 1) sum over units of (slope . features)^2
///
/// `variance`, where there is one, and `degrees` take the place of these.
template <std::size_t Features, class At>
estimate infer(const sample<Features>& data, const interval_options& options, At at, std::optional<double> variance = {},
               std::optional<double> degrees = {}) {
    estimate result;
    const moments<Features> units = data.units();
    result.count = data.rows().count();
    result.units = units.count();
    if (result.count == 0) return undefined(result, reason::no_rows);
    const evaluation<Features> found = at(units.sums());
    result.mean = found.value.high;
    if (!std::isfinite(result.mean)) return undefined(result, reason::not_finite);
    const auto n = static_cast<double>(result.units);
    if (n < 2) {
        result.reason = reason::too_few;
        return result;
    }
    set_error(result, variance.value_or(units.square(found.slope).high * (n / (n - 1))), degrees.value_or(n - 1), options);
    if (!std::isfinite(result.standard_error)) {
        result.standard_error = result.lower = result.upper = std::numeric_limits<double>::quiet_NaN();
        result.reason = variance && !std::isfinite(*variance) ? reason::too_few : reason::not_finite;
    } else if (options.kind == interval::bootstrap) {
        std::vector<double> values;
        for (std::size_t b = 0; b != data.replicates().size(); ++b) {
            const auto sums = data.replicates().sums(b);
            if (is_drawn(sums)) values.push_back(at(sums).value.high);
        }
        set_percentiles(result, values, options.level);
    }
    return result;
}

} // namespace car::inline CAR_ABI::detail
