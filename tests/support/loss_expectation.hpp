// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a combination of the options should come to, by the formulas of the contract in 113-bit arithmetic.

#include "loss_combinations.hpp"
#include "loss_reference.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace combinations {

using reference::magnitude;
using reference::wide;

/// A value and how far it may be off, in the terms' u.
struct expected {
    wide value = 0, allowed = 0;

    expected& add(wide factor, const expected& other) {
        value += factor * other.value;
        allowed += magnitude(factor) * other.allowed;
        return *this;
    }
};

template <class T>
class expectation {
    const problem<T>& given_;
    const combination& set_;
    const car::loss_options& options_;
    wide spread_ = 0; // how many u a rounding of the logits as they are read may cost, for each u of their own

  public:
    std::array<bool, rows> counted{};
    std::array<wide, rows> weight{};
    std::vector<reference::loss_row> row;
    std::array<expected, rows> loss, cross_entropy, divergence, lse_p, lse_y, squares;
    wide weights = 0;
    std::int64_t count = 0, correct = 0;

    expectation(const problem<T>& given, const combination& set) : given_(given), set_(set), options_(set.options) {
        for (std::size_t i = 0; i != rows; ++i) measure(i);
    }

    wide divisor() const {
        if (options_.reduction != car::reduction::mean) return 1;
        return options_.divisor ? static_cast<wide>(*options_.divisor) : weights;
    }
    wide bound(std::size_t i) const {
        if (options_.precision == car::precision::fast) return 96 + 2 / row[i].logits.P[row[i].predicted] + spread_;
        return 16 + spread_;
    }
    reference::reading reading() const {
        return {static_cast<wide>(options_.logit_scale), static_cast<wide>(options_.softcap.value_or(0)),
                static_cast<wide>(options_.temperature)};
    }

    /// The gradients of the value to one column.
    std::pair<expected, expected> gradient(std::size_t i, std::size_t k) const {
        expected to_p, to_c;
        if (!counted[i]) return {to_p, to_c};
        const auto& r = row[i];
        const wide raw = static_cast<wide>(static_cast<double>(given_.p[i * classes + k])), P = r.logits.P[k];
        const bool live = !reference::masked(r.logits.p[k]);
        to_p.add(1, {r.entropy_slope(k), (8 + spread_) * r.entropy_slope_scale(k)});
        if (live && options_.z_weight != 0)
            to_p.add(static_cast<wide>(2 * options_.z_weight) * P,
                     {r.lse_p, (4 + spread_) * (magnitude(r.logits.factual.max) + 2 * magnitude(r.lse_p))});
        if (options_.alpha != 0) {
            const wide scale = r.divergence_slope_scale(k, options_.flow, options_.kl_target);
            const wide alpha = static_cast<wide>(options_.alpha);
            to_p.add(alpha, {r.slope_p(k, options_.flow, options_.kl_target), live ? bound(i) * scale : 0});
            to_c.add(alpha, {r.slope_c(k, options_.flow, options_.kl_target), live ? bound(i) * scale : 0});
        }
        const wide upstream = set_.upstream ? static_cast<wide>(given_.upstream[i]) : 1;
        const wide factor = weight[i] * upstream / divisor();
        const wide slope = reference::masked(raw) ? reading().scale / reading().temperature : reading().slope(raw);
        expected full_p, full_c;
        full_p.add(factor * slope, to_p);
        if (live && options_.alpha != 0)
            full_c.add(factor * static_cast<wide>(options_.strength) *
                           reading().slope(static_cast<wide>(static_cast<double>(given_.c[i * classes + k]))),
                       to_c);
        return {full_p, full_c};
    }

  private:
    void measure(std::size_t i) {
        std::vector<wide> p, c, target;
        const bool no_index = !set_.soft && given_.labels[i] == -100;
        const bool hidden = set_.masks && !given_.row_mask[i];
        const bool weightless = set_.weights && given_.sample_weight[i] == 0;
        counted[i] = !(no_index || hidden || weightless);
        if (!counted[i]) {
            row.emplace_back(std::vector<wide>{0}, std::vector<wide>{0}, std::vector<wide>{1}, 0, options_.kl_target);
            return;
        }
        wide largest = 1;
        for (std::size_t k = 0; k != classes; ++k) {
            const bool valid = !set_.masks || given_.class_mask[k];
            const wide raw = static_cast<wide>(static_cast<double>(given_.p[i * classes + k])), lowest = -static_cast<wide>(inf);
            p.push_back(valid ? reading().value(raw) : lowest);
            c.push_back(static_cast<wide>(options_.strength) *
                        reading().value(static_cast<wide>(static_cast<double>(given_.c[i * classes + k]))));
            target.push_back(set_.soft ? static_cast<wide>(given_.soft[i * classes + k])
                                       : static_cast<wide>(given_.labels[i] == static_cast<int>(k)));
            if (!reference::masked(p[k])) largest += magnitude(p[k]) + magnitude(c[k]);
        }
        // The logits as they are read are rounded in double, tanh to 4 ulp: each moves a logarithm by so many u of double.
        const wide roundings = options_.softcap || options_.temperature != 1 ? 8 : 0;
        spread_ = std::max(spread_, roundings * largest * static_cast<wide>(types::u<double> / types::u<car::term_of<T>>) * 16);

        row.emplace_back(p, c, target, static_cast<wide>(options_.label_smoothing), options_.kl_target);
        const auto& r = row.back();
        weight[i] = set_.weights ? static_cast<wide>(given_.sample_weight[i]) : 1;
        if (set_.weights) {
            wide mean = 0;
            for (std::size_t k = 0; k != classes; ++k) mean += target[k] * static_cast<wide>(given_.weight[k]);
            weight[i] *= mean;
        }
        weights += weight[i];
        ++count;
        const auto likeliest = std::max_element(target.begin(), target.end()) - target.begin();
        correct += r.predicted == static_cast<std::size_t>(likeliest);

        cross_entropy[i] = {r.cross_entropy, (6 + spread_) * r.entropy_scale};
        if (options_.alpha != 0) divergence[i] = {r.divergence, bound(i) * r.divergence_scale};
        lse_p[i] = {r.lse_p, (4 + spread_) * (magnitude(r.logits.factual.max) + magnitude(r.lse_p))};
        lse_y[i] = {r.lse_y, (4 + spread_) * (largest + magnitude(r.lse_y))};
        squares[i] = {r.lse_p * r.lse_p, 2 * magnitude(r.lse_p) * lse_p[i].allowed + 4 * r.lse_p * r.lse_p};
        loss[i].add(weight[i], cross_entropy[i]).add(weight[i] * static_cast<wide>(options_.alpha), divergence[i]);
        loss[i].add(weight[i] * static_cast<wide>(options_.z_weight), squares[i]);
    }
};

/// All that is wrong with one combination; empty if nothing is.
template <class T>
std::string faults_of(const problem<T>& given, const combination& set, const outputs<T>& got) {
    using term = car::term_of<T>;
    const expectation<T> want(given, set);
    std::ostringstream faults;
    const wide unit = static_cast<wide>(types::u<term>), least = 2 * static_cast<wide>(types::limits<T>::least_normal);
    const auto compare = [&](const char* what, std::size_t i, double value, const expected& e, wide storage) {
        const double exact = static_cast<double>(e.value);
        if (value == exact || (std::isnan(value) && std::isnan(exact))) return; // infinities
        const wide error = magnitude(static_cast<wide>(value) - e.value);
        if (!(error <= unit * (e.allowed + 2 * magnitude(e.value)) + least + storage))
            faults << what << '[' << i << "] is " << value << ", expected " << exact << " +- " << static_cast<double>(unit * e.allowed)
                   << "; ";
    };
    expected loss, cross_entropy, divergence, squares;
    for (std::size_t i = 0; i != rows; ++i) {
        loss.add(1 / want.divisor(), want.loss[i]);
        cross_entropy.add(want.weight[i] / want.divisor(), want.cross_entropy[i]);
        divergence.add(want.weight[i] / want.divisor(), want.divergence[i]);
        squares.add(want.weight[i] / want.divisor(), want.squares[i]);
        compare("row_loss", i, static_cast<double>(got.loss[i]), want.loss[i], 0);
        compare("row_cross_entropy", i, static_cast<double>(got.cross_entropy[i]), want.cross_entropy[i], 0);
        compare("row_divergence", i, static_cast<double>(got.divergence[i]), want.divergence[i], 0);
        compare("lse_p", i, static_cast<double>(got.lse_p[i]), want.lse_p[i], 0);
        compare("lse_y", i, static_cast<double>(got.lse_y[i]), want.lse_y[i], 0);
        if (got.predicted[i] != (want.counted[i] ? static_cast<std::int64_t>(want.row[i].predicted) : -1))
            faults << "predicted[" << i << "]; ";
        for (std::size_t k = 0; k != classes; ++k) {
            auto [to_p, to_c] = want.gradient(i, k);
            const std::size_t at = i * classes + k;
            if (set.options.gradients == car::gradients::accumulate) {
                to_p.add(1, {static_cast<wide>(static_cast<double>(given.old_p[at])), 0});
                to_c.add(1, {static_cast<wide>(static_cast<double>(given.old_c[at])), 0});
            }
            compare("grad_p", at, static_cast<double>(got.grad_p[at]), to_p, types::storage_error<T>(magnitude(to_p.value)));
            compare("grad_c", at, static_cast<double>(got.grad_c[at]), to_c, types::storage_error<T>(magnitude(to_c.value)));
        }
    }
    if (set.options.reduction == car::reduction::none) {
        if (!std::isnan(got.result.value)) faults << "value is no NaN; ";
    } else {
        compare("value", 0, got.result.value, loss, 0);
        compare("cross_entropy", 0, got.result.cross_entropy, cross_entropy, 0);
        compare("divergence", 0, got.result.divergence, divergence, 0);
        compare("z_loss", 0, got.result.z_loss, squares, 0);
    }
    compare("weight", 0, got.result.weight, {want.weights, 8 * want.weights}, 0);
    if (got.result.count != want.count) faults << "count " << got.result.count << "; ";
    if (got.result.correct != want.correct) faults << "correct " << got.result.correct << ", expected " << want.correct << "; ";
    if (!got.result.status.ok()) faults << "status; ";
    return faults.str();
}

} // namespace combinations
