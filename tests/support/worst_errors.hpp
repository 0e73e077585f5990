// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "row_reference.hpp"
#include "types.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

namespace reference {

/// The worst error of each quantity, in units of u times its scale, its bound, and the row where it was.
class worst_errors {
    struct entry {
        double ratio = 0, bound = 0, share = -1;
        std::string where;
    };
    std::map<std::string, entry, std::less<>> entries_;

  public:
    /// `allowed` is what may be lost beside the bound: twice the least normal number, the rounding of a two-byte type. Long double has
    /// wide's range: it is enough for what an error is measured in.
    void add(std::string_view quantity, double roundoff, double bound, double got, wide want, auto scale, auto allowed,
             const std::string& where) {
        const auto error = static_cast<long double>(magnitude(static_cast<wide>(got) - want)) - static_cast<long double>(allowed);
        const long double unit = static_cast<long double>(scale) * roundoff;
        double ratio = error <= 0 ? 0 : unit > 0 ? static_cast<double>(error / unit) : HUGE_VAL;
        if (std::isnan(got) || std::isnan(ratio)) ratio = HUGE_VAL;
        auto at = entries_.find(quantity);
        if (at == entries_.end()) at = entries_.emplace(quantity, entry{}).first;
        entry& worst = at->second;
        if (ratio / bound > worst.share) worst = {ratio, bound, ratio / bound, where};
    }
    void check(const std::string& title) const {
        for (const auto& item : entries_) {
            const entry& worst = item.second;
            INFO(title << ", " << item.first << ": " << worst.ratio << " u at " << worst.where);
            CHECK(worst.ratio <= worst.bound);
        }
    }
    const auto& entries() const { return entries_; }

    /// Two digits, rounded up.
    static std::string figure(double value) {
        if (value == 0) return "0";
        const double unit = std::pow(10, std::floor(std::log10(value)) - 1);
        std::ostringstream text;
        text << std::ceil(value / unit * (1 - 1e-9)) * unit;
        return text.str();
    }
};

} // namespace reference
