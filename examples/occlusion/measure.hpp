// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data.hpp" // matrix

#include <car/effect.hpp>   // mean_effect
#include <car/eigen.hpp>    // Eigen matrices as views
#include <car/evaluate.hpp> // top_k

#include <nlohmann/json.hpp>

/// 1 for each row whose largest logit is the label's, else 0.
inline std::vector<double> hits(const matrix& logits, const std::vector<int>& labels) {
    std::vector<double> result(labels.size());
    car::top_k(logits, labels, result);
    return result;
}
inline double accuracy(const matrix& logits, const std::vector<int>& labels) { // per cent
    return 100 * car::mean_effect(hits(logits, labels)).mean;
}

inline nlohmann::json interval(const car::estimate& e) { return {{"mean", e.mean}, {"lower", e.lower}, {"upper", e.upper}}; }
