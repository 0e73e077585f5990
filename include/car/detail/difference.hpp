// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arithmetic.hpp"    // split, compensated_sum
#include "double_double.hpp" // the widest numbers
#include "elementary.hpp"    // exp, phi

#include <compare>     // the order of differences
#include <concepts>    // std::same_as
#include <type_traits> // std::conditional_t

// A row is computed with one type of difference, of which everything else follows:
//
//     difference     p - M, c - c0             exp, sums, terms    for
//     double         rounded                   double              rows of float
//     split          with what rounding lost   double              rows of double, and rows of float rounded once
//     double_double  to 106 bits               double_double       rows of double rounded once
namespace car::inline CAR_ABI::detail {

template <class Difference>
using number_of = std::conditional_t<std::same_as<Difference, double_double>, double_double, double>;

inline std::partial_ordering operator<=>(const split& a, const split& b) { return a.high != b.high ? a.high <=> b.high : a.low <=> b.low; }
inline bool operator==(const split& a, const split& b) { return a.high == b.high && a.low == b.low; }

/// a - b of two doubles.
template <class Difference>
Difference difference(double a, double b) {
    if constexpr (std::same_as<Difference, double>)
        return a - b;
    else
        return Difference{a} - Difference{b};
}

/// A difference as a number, and the other way round.
inline double to_number(double x) { return x; }
inline double to_number(const split& x) { return x.high; }
inline const double_double& to_number(const double_double& x) { return x; }
template <class Difference>
Difference to_difference(const number_of<Difference>& x) {
    return Difference{x};
}

/// The nearest double.
inline double rounded(double x) { return x; }
inline double rounded(const split& x) { return x.high; }
inline double rounded(const double_double& x) { return x.high; }

/// A difference plus a number, as a number.
inline double sum(double x, double y) { return x + y; }
inline double sum(const split& x, double y) { return x.high + (x.low + y); }
inline double_double sum(const double_double& x, const double_double& y) { return x + y; }

/// e phi(d) and e (1 - exp(-d)), e = exp(a). Below -2 through exp(a - d): e may vanish where that does not.
template <class Difference>
curve<number_of<Difference>> weighted(const Difference& a, const number_of<Difference>& e, const Difference& d) {
    if (rounded(d) < -2) {
        const number_of<Difference> risen = exp(a - d);
        return {risen - e * (1 - to_number(d)), e - risen};
    }
    const curve<number_of<Difference>> at = curve_of(to_number(d));
    return {e * at.phi, e * at.fall};
}

/// A sum of double_doubles needs no compensation.
class plain_sum {
    double_double value_ = 0;

  public:
    void add(const double_double& term) { value_ += term; }
    const double_double& value() const { return value_; }
};

template <class Difference>
using sum_of = std::conditional_t<std::same_as<Difference, double_double>, plain_sum, compensated_sum>;

} // namespace car::inline CAR_ABI::detail
