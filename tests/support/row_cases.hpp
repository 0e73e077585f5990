// SPDX-License-Identifier: Apache-2.0
#pragma once

// Rows of logits on which a loss is likely to be wrong, each with its reason.

#include "random.hpp"
#include "types.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace cases {

enum class factual { normal, flat, sharp, sure, surer, shifted, masked };
enum class counterfactual { tiny, small, normal, large, huge, constant, nearly_constant, outlier, heavy_tailed, same, opposite, offset };

inline const factual all_factual[] = {factual::normal, factual::flat,    factual::sharp, factual::sure,
                                      factual::surer,  factual::shifted, factual::masked};
inline const counterfactual all_counterfactual[] = {
    counterfactual::tiny,         counterfactual::small,    counterfactual::normal,          counterfactual::large,
    counterfactual::huge,         counterfactual::constant, counterfactual::nearly_constant, counterfactual::outlier,
    counterfactual::heavy_tailed, counterfactual::same,     counterfactual::opposite,        counterfactual::offset};

/// 1, 2, 3: the least; 31 and 1000: no multiple of a lane; 1023 to 1025: the edge of a block; 32000: a vocabulary.
inline const std::size_t all_classes[] = {1, 2, 3, 7, 10, 31, 400, 1000, 1023, 1024, 1025, 32000};

template <class T>
struct row {
    std::vector<T> p, c;
    std::size_t label;
    std::string name;
};

template <class T>
row<T> make(std::size_t classes, factual f, counterfactual g, generator& random) {
    const auto fit = [](double v) {
        return static_cast<T>(std::isfinite(v) ? std::clamp(v, -types::limits<T>::most, types::limits<T>::most) : v);
    };
    row<T> made{std::vector<T>(classes), std::vector<T>(classes), random.below(classes), {}};
    made.name = "C = " + std::to_string(classes) + ", factual " + std::to_string(static_cast<int>(f)) + ", counterfactual " +
                std::to_string(static_cast<int>(g));
    const std::size_t peak = random.below(classes);
    for (std::size_t k = 0; k != classes; ++k) {
        const double z = random.normal();
        double p = 0;
        switch (f) {
        case factual::normal: p = 3 * z; break;
        case factual::flat: p = 0.1 * z; break;
        case factual::sharp: p = 1000 * z; break;
        case factual::sure: p = z + (k == peak ? 60 : 0); break;
        case factual::surer: p = z + (k == peak ? 200 : 0); break;
        case factual::shifted: p = 3 * z + 1e5; break;
        case factual::masked: p = k % 3 == 1 ? -std::numeric_limits<double>::infinity() : 3 * z; break;
        }
        made.p[k] = fit(p);
        const double n = random.normal();
        double c = 0;
        switch (g) {
        case counterfactual::tiny: c = 1e-6 * n; break;
        case counterfactual::small: c = 1e-3 * n; break;
        case counterfactual::normal: c = 3 * n; break;
        case counterfactual::large: c = 100 * n; break;
        case counterfactual::huge: c = 1e4 * n; break;
        case counterfactual::constant: c = 7.25; break;
        case counterfactual::nearly_constant: c = 1 + 1e-6 * n; break;
        case counterfactual::outlier: c = k == classes / 2 ? 30 : 0.01 * n; break;
        case counterfactual::heavy_tailed: c = std::ldexp(0.01 * n, static_cast<int>(4 * std::abs(random.normal()))); break;
        case counterfactual::same: c = static_cast<double>(made.p[k]); break;
        case counterfactual::opposite: c = -static_cast<double>(made.p[k]); break;
        case counterfactual::offset: c = 1e6 + n; break;
        }
        made.c[k] = fit(c);
    }
    if (f == factual::masked) {
        made.label -= made.label % 3 == 1; // a live class
        for (std::size_t k = 1; k < classes; k += 3)
            made.c[k] = static_cast<T>(std::numeric_limits<double>::quiet_NaN()); // which may not be read
    }
    return made;
}

/// A class of `top`, then classes whose exponentials are `part` of its exponential's last place, with a c of `far`. Below a top of less
/// than 0 lies the label of 0, whose CE is what the others add up to. Every addition to the first one loses the same.
template <class T>
row<T> make_lossy(std::size_t classes, double part, double top, double far, generator& random) {
    row<T> made{std::vector<T>(classes), std::vector<T>(classes), random.below(classes), {}};
    made.name = "C = " + std::to_string(classes) + ", " + std::to_string(part) + " of the last place of exp(" + std::to_string(top) + ')';
    for (std::size_t k = 0; k != classes; ++k) {
        made.p[k] = static_cast<T>(top + std::log(2 * part * types::u<T>));
        made.c[k] = static_cast<T>(far + 0.001 * random.normal());
    }
    const std::size_t first = random.below(std::min<std::size_t>(classes, 16));
    made.p[first] = static_cast<T>(top);
    made.c[first] = 0;
    if (top < 0) {
        made.label = (first + 1) % classes;
        made.p[made.label] = 0;
    }
    return made;
}

/// A sure row, and a class whose exp(p) is `below` too little for arithmetic in T that gives exponentials no room, but whose c, `far` from
/// the peak's, brings exp(p - c) back. The peak is the last class: sums of the others do not know it yet.
template <class T>
row<T> make_lost(std::size_t classes, double peak, double below, double far, double size, generator& random) {
    row<T> made{std::vector<T>(classes), std::vector<T>(classes), random.below(classes), {}};
    made.name = "C = " + std::to_string(classes) + ", p sure by " + std::to_string(peak) + ", lost by " + std::to_string(below) +
                ", c at " + std::to_string(far) + " among " + std::to_string(size);
    for (std::size_t k = 0; k != classes; ++k) {
        made.p[k] = static_cast<T>(random.normal());
        made.c[k] = static_cast<T>(size * random.normal());
    }
    const double lost = -std::log(static_cast<double>(types::limits<T>::least_normal)); // 87 or 708
    made.p[classes - 1] = static_cast<T>(peak);
    made.p[3] = static_cast<T>(peak - lost - below);
    made.c[3] = static_cast<T>(far + static_cast<double>(made.c[classes - 1]));
    return made;
}

/// 0.3, 0.49: all of an addend is lost; the others: half of the last place, as nearly as may be.
inline constexpr double lossy_parts[] = {0.3, 0.49, 1.45, 2.45, 4.45, 1.55, 3.55};

} // namespace cases
