// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every combination of the options of the loss, and rows to try them on. Nothing here computes a loss.

#include <car/options.hpp> // the options

#include "random.hpp"
#include "types.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

namespace combinations {

inline constexpr std::ptrdiff_t rows = 6, classes = 4;
inline constexpr std::size_t cells = rows * classes;
inline constexpr double inf = std::numeric_limits<double>::infinity(), no_number = std::numeric_limits<double>::quiet_NaN();

/// One of each kind of row: plain, masked class, ignored (by its label, or where labels are probabilities by a weight of 0), hidden by
/// the row mask, of weight 0, plain. Ignored rows hold what no call may read.
template <class T>
struct problem {
    using term = car::term_of<T>;
    std::array<T, cells> p, c, old_p, old_c;
    std::array<term, cells> soft;
    std::array<int, rows> labels{1, 3, -100, 77, 2, 0};
    std::array<term, classes> weight{term(0.5), term(2), term(1.25), term(0.75)};
    std::array<term, rows> sample_weight{1, term(0.5), 3, 2, 0, term(1.5)}, upstream{1, -2, term(0.5), 4, 3, term(0.25)};
    std::array<bool, rows> row_mask{true, true, true, false, true, true};
    std::array<unsigned char, classes> class_mask{1, 1, 0, 1};

    problem() {
        cases::generator random(77);
        for (std::size_t i = 0; i != cells; ++i) {
            p[i] = static_cast<T>(2 * random.normal());
            c[i] = static_cast<T>(random.normal());
            old_p[i] = static_cast<T>(random.normal());
            old_c[i] = static_cast<T>(random.normal());
            soft[i] = static_cast<term>(random.below(3) == 0 ? 0 : random.uniform() / 2);
        }
        p[classes] = static_cast<T>(-inf); // row 1 masks class 0, whose c may not be read
        c[classes] = static_cast<T>(no_number);
        soft[classes] = 0;
        for (std::size_t k = 0; k != classes; ++k) p[3 * classes + k] = c[3 * classes + k] = static_cast<T>(no_number);
    }
};

struct combination {
    bool soft, weights, masks, upstream;
    car::loss_options options;
};

inline std::string text_of(const combination& set) {
    std::ostringstream text;
    const auto& o = set.options;
    text << "soft " << set.soft << " weights " << set.weights << " masks " << set.masks << " upstream " << set.upstream << " alpha "
         << o.alpha << " strength " << o.strength << " softcap " << o.softcap.value_or(0) << " smoothing " << o.label_smoothing << " z "
         << o.z_weight << " target " << static_cast<int>(o.kl_target) << " flow " << static_cast<int>(o.flow) << " reduction "
         << static_cast<int>(o.reduction) << " divisor " << o.divisor.value_or(0) << " precision " << static_cast<int>(o.precision)
         << " gradients " << static_cast<int>(o.gradients);
    return text.str();
}

/// Visits every combination of the options; `part` of `parts` of them.
template <class Visit>
std::size_t for_each_combination(std::size_t parts, Visit visit) {
    using enum car::flow;
    const std::pair<car::kl_target, car::flow> targets[] = {{car::kl_target::prediction, full},
                                                            {car::kl_target::prediction, stop_target},
                                                            {car::kl_target::prediction, stop_factual},
                                                            {car::kl_target::prediction, stop_counterfactual},
                                                            {car::kl_target::label, full},
                                                            {car::kl_target::label, stop_counterfactual}};
    const std::pair<car::reduction, std::optional<double>> reductions[] = {
        {car::reduction::none, {}}, {car::reduction::sum, {}}, {car::reduction::mean, {}}, {car::reduction::mean, 24.0}};
    std::size_t index = 0, visited = 0;
    for (unsigned bits = 0; bits != 1u << 10; ++bits)
        for (const auto& [target, flow] : targets)
            for (const auto& [reduction, divisor] : reductions)
                for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
                    if (index++ * 2654435761u % parts != 0) continue;
                    const auto bit = [&](unsigned which) { return (bits >> which & 1) != 0; };
                    combination set{bit(0), bit(1), bit(2), bit(3), {}};
                    set.options = {.alpha = bit(4) ? -0.75 : 0,
                                   .strength = bit(5) ? -0.625 : 1,
                                   .temperature = bit(5) ? 1.75 : 1,
                                   .logit_scale = bit(5) ? 0.875 : 1,
                                   .softcap = bit(6) ? std::optional(5.0) : std::nullopt,
                                   .label_smoothing = bit(7) ? 0.125 : 0,
                                   .z_weight = bit(8) ? 0.0625 : 0,
                                   .kl_target = target,
                                   .flow = flow,
                                   .reduction = reduction,
                                   .divisor = divisor,
                                   .precision = precision,
                                   .gradients = bit(9) ? car::gradients::accumulate : car::gradients::overwrite};
                    visit(set);
                    ++visited;
                }
    return visited;
}

/// Row 3's label 77 and its NaN are there to be skipped: without a mask, the row is a plain one.
template <class T>
problem<T> problem_for(const combination& set) {
    problem<T> given;
    if (set.masks) return given;
    given.labels[3] = 1;
    for (std::size_t k = 0; k != classes; ++k) {
        given.p[3 * classes + k] = given.p[k];
        given.c[3 * classes + k] = given.c[4 * classes + k];
    }
    return given;
}

/// What a call makes of a problem. The gradients begin as what is there before.
template <class T>
struct outputs {
    using term = car::term_of<T>;
    std::array<T, cells> grad_p, grad_c;
    std::array<term, rows> loss, cross_entropy, divergence, lse_p, lse_y;
    std::array<std::int64_t, rows> predicted;
    car::loss_result result;

    explicit outputs(const problem<T>& given) : grad_p(given.old_p), grad_c(given.old_c) {}
};

} // namespace combinations
