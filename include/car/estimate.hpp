// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "options.hpp" // row_status

#include <cstdint> // std::int64_t
#include <limits>  // NaN

namespace car::inline CAR_ABI {

/// How an interval is made.
///
///     student_t  mean -+ t(level, units - 1) standard_error; of a difference of two independent means, Welch's degrees of freedom
///     normal     mean -+ z(level) standard_error
///     bootstrap  percentiles of the estimate over resamples of the units, each of which counts Poisson(1) times; one without any unit
///                is left out
///     wilson     Wilson's, for shares: of values that are all 0 or 1
///
/// A unit is a row, or a cluster of rows where clusters are given. A unit's count in a resample is a function of the seed, the resample
/// and the unit's number alone, so that no split, order or number of threads shows, and nothing has to be kept but the sums.
enum class interval { student_t, normal, bootstrap, wilson };

/// Why an estimate, or its standard error and interval alone, is NaN: the first that applies.
enum class reason {
    none,
    no_rows,             ///< every row was ignored, trimmed or of weight 0, or there was none
    bad_weight,          ///< a weight is negative
    propensity_outside,  ///< a propensity is not between 0 and 1, and neither clipping nor trimming was asked for
    no_treated,          ///< no row of the treated arm
    no_control,          ///< no row of the control arm
    empty_cell,          ///< a stratum, or a mediator, without treated or without control rows
    not_finite,          ///< a value that was read is NaN or infinite, or the result overflows
    too_few,             ///< fewer than two units, or rows of an arm or a cell: a mean, but no standard error
    undefined_replicate, ///< the estimate does not exist in some resample: no bootstrap interval
};

/// A mean with what is known of its error. NaN where there is no answer; `reason` says why.
struct estimate {
    double mean = std::numeric_limits<double>::quiet_NaN();
    double standard_error = std::numeric_limits<double>::quiet_NaN();
    double lower = std::numeric_limits<double>::quiet_NaN();
    double upper = std::numeric_limits<double>::quiet_NaN();
    std::int64_t count = 0; ///< rows that the mean is of
    row_status status = {}; ///< the first row that has no value, of the last call
    std::int64_t units = 0; ///< what was sampled independently: clusters where they are given, else rows
    double positive = std::numeric_limits<double>::quiet_NaN(); ///< share of rows with a positive effect, weighted as the mean is
    enum reason reason = reason::none;
};

} // namespace car::inline CAR_ABI
