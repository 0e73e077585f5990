// SPDX-License-Identifier: Apache-2.0
#pragma once

// The printed formulas in 113-bit arithmetic. Shares no code with the library.

#include <car/options.hpp> // the enums of a call, and nothing that computes

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#if __has_include(<quadmath.h>)
#include <quadmath.h>
#else
extern "C" {
__float128 expq(__float128);
__float128 logq(__float128);
__float128 log1pq(__float128);
__float128 expm1q(__float128);
}
#endif

namespace reference {

__extension__ typedef __float128 wide;

inline wide magnitude(wide x) { return x < 0 ? -x : x; }

/// exp(-t) - 1 + t by its series near 0, where the printed form has no digit.
inline wide phi(wide t) {
    if (magnitude(t) > 1) return expq(-t) - 1 + t;
    static const auto inverse = [] { // 1 / (k + 2)!
        std::array<wide, 33> table{wide(1) / 2};
        for (std::size_t k = 1; k != table.size(); ++k) table[k] = table[k - 1] / static_cast<int>(k + 2);
        return table;
    }();
    std::size_t k = magnitude(t) > 0x1p-3 ? inverse.size() : magnitude(t) > 0x1p-10 ? 20 : 11; // what follows is less than 2^-118
    wide sum = 0;
    while (k-- != 0) sum = inverse[k] - t * sum;
    return t * t * sum;
}

inline bool masked(wide p) { return p < -1e300L * 1e300L; }

/// A row of logits, shifted by its maximum: log of the sum without losing a sure row's digits.
struct log_sum {
    wide max = 0, rest = 0, log_rest = 0; // sum of exp(v - max) without the maximum's own 1; log of the sum with it
    std::size_t peak = 0;
    std::vector<wide> softmax; // 0 where a class is masked

    explicit log_sum(const std::vector<wide>& v, const std::vector<wide>& p) {
        bool any = false;
        for (std::size_t k = 0; k != v.size(); ++k) {
            if (masked(p[k]) || (any && v[k] <= max)) continue;
            any = true;
            max = v[k];
            peak = k;
        }
        softmax.resize(v.size());
        for (std::size_t k = 0; k != v.size(); ++k) {
            if (masked(p[k])) continue;
            softmax[k] = expq(v[k] - max);
            if (k != peak) rest += softmax[k];
        }
        for (wide& e : softmax) e /= 1 + rest;
        log_rest = log1pq(rest);
    }
    wide value(wide v) const { return expq(v - max) / (1 + rest); }
    wide cross_entropy(wide v) const { return (max - v) + log_rest; }
    wide value_of_log_sum() const { return max + log_rest; }
};

inline std::vector<wide> difference(const std::vector<wide>& p, const std::vector<wide>& c) {
    std::vector<wide> d(p);
    for (std::size_t k = 0; k != d.size(); ++k)
        if (!masked(p[k])) d[k] -= c[k];
    return d;
}

/// One row: p and c as they are after scaling.
struct row {
    std::vector<wide> p, c, x, w;
    std::size_t label;
    log_sum factual, corrected;
    std::vector<wide> P, Y, bent, falls;                                             // bent: P phi(w)
    wide cross_entropy, label_divergence, divergence = 0, spread = 0, largest_c = 0; // spread: E|x|

    row(std::vector<wide> logits, std::vector<wide> counterfactual, std::size_t y)
        : p(std::move(logits)), c(std::move(counterfactual)), x(p.size()), w(p.size()), label(y), factual(p, p),
          corrected(difference(p, c), p), P(factual.softmax), Y(corrected.softmax), bent(p.size()), falls(p.size()),
          cross_entropy(factual.cross_entropy(p[y])), label_divergence(corrected.cross_entropy(p[y] - c[y])) {
        wide mean = 0, curved = 0;
        const wide origin = c[factual.peak];
        for (std::size_t k = 0; k != p.size(); ++k) {
            if (masked(p[k])) continue;
            mean += P[k] * (c[k] - origin);
            if (magnitude(c[k]) > magnitude(largest_c)) largest_c = c[k];
        }
        bool overflows = false;
        for (std::size_t k = 0; k != p.size(); ++k) {
            if (masked(p[k])) continue;
            x[k] = c[k] - origin - mean;
            spread += P[k] * magnitude(x[k]);
            overflows = overflows || p[k] - factual.max - x[k] > 11000;
            if (!overflows) curved += weighted_phi(k, x[k]);
        }
        divergence = overflows ? mean + origin + (corrected.max - factual.max) + corrected.log_rest - factual.log_rest : log1pq(curved);
        for (std::size_t k = 0; k != p.size(); ++k) {
            w[k] = x[k] + divergence;
            if (masked(p[k])) continue;
            bent[k] = weighted_phi(k, w[k]);
            falls[k] = w[k] < -1 ? P[k] - Y[k] : -P[k] * expm1q(-w[k]); // P - Y, where P and Y are both nearly 1
        }
    }

    /// P phi(t), which may be large where P has vanished.
    wide weighted_phi(std::size_t k, wide t) const { return t < -1 ? factual.value(p[k] - t) - P[k] * (1 - t) : P[k] * phi(t); }

    /// The printed sum. Good where the divergence is not tiny.
    wide printed_divergence() const {
        wide sum = 0;
        for (std::size_t k = 0; k != p.size(); ++k)
            if (P[k] > 0) sum += P[k] * logq(P[k] / Y[k]);
        return sum;
    }

    wide cross_entropy_slope(std::size_t k) const {
        if (k != label) return P[k];
        wide others = 0;
        for (std::size_t j = 0; j != p.size(); ++j) others += j == label ? 0 : P[j];
        return -others;
    }
    wide label_slope(std::size_t k) const {
        if (k != label) return Y[k];
        wide others = 0;
        for (std::size_t j = 0; j != p.size(); ++j) others += j == label ? 0 : Y[j];
        return -others;
    }
    wide slope_p(std::size_t k, car::flow flow, car::kl_target target) const {
        if (masked(p[k])) return 0;
        if (target == car::kl_target::label) return label_slope(k);
        switch (flow) {
        case car::flow::full:
        case car::flow::stop_counterfactual: return bent[k] - P[k] * divergence; // P x + Y - P
        case car::flow::stop_target: return P[k] * x[k];
        case car::flow::stop_factual: return -falls[k];
        }
        return 0;
    }
    wide slope_c(std::size_t k, car::flow flow, car::kl_target target) const {
        if (masked(p[k]) || flow == car::flow::stop_target || flow == car::flow::stop_counterfactual) return 0;
        return target == car::kl_target::label ? -label_slope(k) : falls[k];
    }

    /// What the errors of a slope are measured in.
    wide scale_c(std::size_t k) const { return magnitude(falls[k]) + Y[k] * (magnitude(x[k]) + spread + divergence); }
    wide scale_p(std::size_t k, car::flow flow) const {
        if (flow == car::flow::stop_factual) return scale_c(k);
        if (flow == car::flow::stop_target) return P[k] * (magnitude(x[k]) + spread);
        return (1 + magnitude(w[k])) * bent[k] + P[k] * divergence;
    }
};

} // namespace reference
