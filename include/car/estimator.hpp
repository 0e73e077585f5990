// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/inference.hpp" // evaluation

#include <array>    // features
#include <cmath>    // std::floor
#include <concepts> // what an estimator is
#include <optional> // degrees of freedom

namespace car::inline CAR_ABI {

/// One row of a study, its nuisances given: predictions made on other rows, or known by design.
struct treatment_row {
    bool treated = false;
    double outcome = 0, propensity = 0, control_mean = 0, treated_mean = 0; ///< y, e = P(t = 1 | x), mu0 = E[y | x, 0], mu1
};

/// An estimator is a type: the features of a row, and a function of their sums with its slope (see detail::evaluation). The state of a
/// stream is then sums of features and of their products, in double-double, whatever the estimator: they merge, and in one sweep they
/// give the exact sum of squared influences. Features are rounded once, as if y were known to half an ulp.
template <class E>
concept estimator = requires(const E& how, const treatment_row& row, std::array<detail::double_double, E::features> sums) {
    { how.of(row) } -> std::same_as<std::array<double, E::features>>;
    { how.at(sums) } -> std::same_as<detail::evaluation<E::features>>;
    { E::reads_propensity } -> std::convertible_to<bool>;
    { E::reads_means } -> std::convertible_to<bool>;
};

namespace detail {

using double_doubles = std::array<double_double, 4>;

/// (sums[1] / sums[0]) - (sums[3] / sums[2])
inline evaluation<4> contrast_at(const double_doubles& sums) {
    evaluation<4> result;
    result.add_ratio(sums, 1, 0);
    result.add_ratio(sums, 3, 2, -1);
    return result;
}

} // namespace detail

/// What a row counts in its arm:
///
///     weighting   treated      control      effect on
///     inverse     1 / e        1 / (1-e)    everybody
///     stabilised  pi / e       (1-pi)/(1-e) everybody; pi, the treated share, cancels where each arm is divided by its weights
///     treated     1            e / (1-e)    the treated (ATT)
///     control     (1-e) / e    1            the control (ATC)
///     overlap     1 - e        e            those who might be either: rows count e (1 - e)
enum class weighting { inverse, stabilised, treated, control, overlap };

namespace detail {

inline double weight_of(enum weighting how, const treatment_row& row, double share = 1) {
    const double e = row.propensity, rest = 1 - e;
    switch (how) {
    case weighting::treated: return row.treated ? 1 : e / rest;
    case weighting::control: return row.treated ? rest / e : 1;
    case weighting::overlap: return row.treated ? rest : e;
    default: return row.treated ? share / e : share / rest;
    }
}

} // namespace detail

/// mean of y over the treated - mean over the control. SE^2 = s1^2 / n1 + s0^2 / n0, Welch's degrees of freedom; with clusters by
/// influence. Unconfounded only where treatment was randomised.
struct difference_in_means {
    static constexpr std::size_t features = 4;
    static constexpr bool reads_propensity = false, reads_means = false;
    static std::array<double, 4> of(const treatment_row& row) {
        return row.treated ? std::array<double, 4>{1, row.outcome, 0, 0} : std::array<double, 4>{0, 0, 1, row.outcome};
    }
    static detail::evaluation<4> at(const detail::double_doubles& sums) { return detail::contrast_at(sums); }
    static double variance(const detail::moments<4>& m) { return arm(m, 0) + arm(m, 2); }
    static double degrees(const detail::moments<4>& m) {
        detail::welch_degrees degrees(variance(m));
        for (const std::size_t k : {0u, 2u}) degrees.add(arm(m, k), m.sum(k).high - 1);
        return degrees.value();
    }

  private:
    static double arm(const detail::moments<4>& m, std::size_t k) {
        return detail::variance_of_mean(m.sum(k), m.sum(k + 1), m.product(k + 1, k + 1));
    }
};

/// Inverse propensity weighting, divided by the number of rows: phi = t y / e - (1 - t) y / (1 - e), SE = sd(phi) / sqrt(n).
struct horvitz_thompson {
    static constexpr std::size_t features = 2;
    static constexpr bool reads_propensity = true, reads_means = false;
    static std::array<double, 2> of(const treatment_row& row) {
        return {1, row.treated ? row.outcome / row.propensity : -row.outcome / (1 - row.propensity)};
    }
    static detail::evaluation<2> at(const std::array<detail::double_double, 2>& sums) {
        detail::evaluation<2> mean;
        mean.add_ratio(sums, 1, 0);
        return mean;
    }
};

/// Inverse propensity weighting, each arm divided by its weights: m1 - m0, m_a = sum w_a y / sum w_a. SE = sd(influence) / sqrt(n) with
/// the influence n (w1 (y - m1) / sum w1 - w0 (y - m0) / sum w0): that of a known propensity, an upper bound for most fitted ones.
struct hajek {
    enum weighting weighting = weighting::inverse;

    static constexpr std::size_t features = 4;
    static constexpr bool reads_propensity = true, reads_means = false;
    std::array<double, 4> of(const treatment_row& row) const {
        const double w = detail::weight_of(weighting, row), wy = w * row.outcome;
        return row.treated ? std::array<double, 4>{w, wy, 0, 0} : std::array<double, 4>{0, 0, w, wy};
    }
    static detail::evaluation<4> at(const detail::double_doubles& sums) { return detail::contrast_at(sums); }
    bool operator==(const hajek&) const = default;
};

/// T-learner: the mean of mu1 - mu0. SE^2 = [s^2(r | t=0) / (1-pi) + s^2(r | t=1) / pi + s^2(mu1 - mu0)] / n, r = y - mu_t: holds for
/// randomised arms and means fitted to each arm, and for nothing else; so it takes no clusters and no bootstrap.
struct t_learner {
    static constexpr std::size_t features = 5;
    static constexpr bool reads_propensity = false, reads_means = true;
    static std::array<double, 5> of(const treatment_row& row) {
        const double d = row.treated_mean - row.control_mean;
        return row.treated ? std::array<double, 5>{1, 1, row.outcome - row.treated_mean, 0, d}
                           : std::array<double, 5>{1, 0, 0, row.outcome - row.control_mean, d};
    }
    static detail::evaluation<5> at(const std::array<detail::double_double, 5>& sums) {
        detail::evaluation<5> mean;
        mean.add_ratio(sums, 4, 0);
        return mean;
    }
    static double variance(const detail::moments<5>& m) {
        return detail::variance_of_mean(m.sum(1), m.sum(2), m.product(2, 2)) +
               detail::variance_of_mean(m.sum(0) - m.sum(1), m.sum(3), m.product(3, 3)) +
               detail::variance_of_mean(m.sum(0), m.sum(4), m.product(4, 4));
    }
};

/// Augmented inverse propensity weighting, the mean of psi = mu1 - mu0 + t (y - mu1) / e - (1 - t)(y - mu0) / (1 - e), SE =
/// sd(psi) / sqrt(n). Consistent where either e or the means are right; its interval where both are, or are learnt fast enough.
struct aipw : horvitz_thompson {
    static constexpr bool reads_means = true;
    static std::array<double, 2> of(const treatment_row& row) {
        return {1, row.treated_mean - row.control_mean +
                       (row.treated ? (row.outcome - row.treated_mean) / row.propensity
                                    : (row.control_mean - row.outcome) / (1 - row.propensity))};
    }
};

/// AIPW of the effect on the treated: sum psi / sum t, psi = t (y - mu0) - (1 - t)(y - mu0) e / (1 - e), influence (psi - t tau) / pi.
/// Reads no mu1.
struct aipw_treated : horvitz_thompson {
    static constexpr bool reads_means = true;
    static std::array<double, 2> of(const treatment_row& row) {
        const double r = row.outcome - row.control_mean;
        return row.treated ? std::array<double, 2>{1, r} : std::array<double, 2>{0, -r * (row.propensity / (1 - row.propensity))};
    }
};

} // namespace car::inline CAR_ABI
