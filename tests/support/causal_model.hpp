// SPDX-License-Identifier: Apache-2.0
#pragma once

// The causal graph of the paper with known effects: the occlusion O confounds the actor A, the background B and the context F; the
// prediction P has all of them as causes. And a graph with a hidden confounder and a mediator, for the front door. Shares no code with
// the library.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace model {

/// Uniform and normal numbers that are the same on every machine.
class generator {
    std::uint64_t state_;

  public:
    explicit generator(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567) {
        for (int k = 0; k != 4; ++k) state_ = state_ * 6364136223846793005u + bits();
    }
    std::uint64_t bits() { // xorshift64*
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1du;
    }
    double uniform() { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }
    bool chance(double probability) { return uniform() < probability; }
    double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()); }
};

constexpr std::size_t degrees = 4; // of occlusion: none, slight, moderate, heavy

/// How strongly O decides whether the actor is seen.
enum class confounding { none, mild, strong };

struct occlusion_graph {
    std::array<double, degrees> share{0.4, 0.3, 0.2, 0.1};   // P(O = o)
    std::array<double, degrees> seen{0.5, 0.5, 0.5, 0.5};    // P(A = 1 | O = o)
    std::array<double, degrees> effect{0.4, 0.3, 0.15, 0.0}; // of A on P at O = o

    explicit occlusion_graph(confounding how) {
        if (how == confounding::mild) seen = {0.7, 0.6, 0.4, 0.3};
        if (how == confounding::strong) seen = {0.97, 0.8, 0.3, 0.04};
    }

    double background(double o) const { return -0.5 * o; } // E[B | O], noise 1
    double context(double o) const { return 0.3 * o; }     // E[F | O], noise 0.5

    /// E[P | A = a, O = o, B = b, F = f], noise 0.3. The background counts for more where the actor is not seen.
    double prediction(bool a, std::size_t o, double b, double f) const {
        return 0.5 - 0.1 * static_cast<double>(o) + (a ? effect[o] : 0) + (a ? 0.05 : 0.15) * b + 0.1 * f;
    }

    /// The effect on rows that count `weight(o)`.
    template <class Weight>
    double true_effect(Weight weight) const {
        double sum = 0, total = 0;
        for (std::size_t o = 0; o != degrees; ++o) {
            sum += share[o] * weight(o) * (effect[o] + (0.05 - 0.15) * background(static_cast<double>(o)));
            total += share[o] * weight(o);
        }
        return sum / total;
    }
    double on_everybody() const {
        return true_effect([](std::size_t) { return 1.0; });
    }
    double on_the_treated() const {
        return true_effect([&](std::size_t o) { return seen[o]; });
    }
    double on_the_control() const {
        return true_effect([&](std::size_t o) { return 1 - seen[o]; });
    }
    double on_the_overlap() const {
        return true_effect([&](std::size_t o) { return seen[o] * (1 - seen[o]); });
    }
};

/// A study of n rows: with the truth about the nuisances, and what is seen of them.
struct study {
    std::vector<int> actor, occlusion, cluster;
    std::vector<double> background, context, outcome, propensity, control_mean, treated_mean;

    /// Rows come in clusters of `together` that share O, A and a part of the noise: clips of one video.
    study(const occlusion_graph& graph, std::size_t n, generator& random, std::size_t together = 1) {
        int o = 0, a = 0;
        double shared = 0;
        for (std::size_t i = 0; i != n; ++i) {
            if (i % together == 0) {
                const double drawn = random.uniform();
                o = drawn < graph.share[0]                                     ? 0
                    : drawn < graph.share[0] + graph.share[1]                  ? 1
                    : drawn < graph.share[0] + graph.share[1] + graph.share[2] ? 2
                                                                               : 3;
                a = random.chance(graph.seen[static_cast<std::size_t>(o)]);
                shared = together > 1 ? 0.3 * random.normal() : 0;
            }
            const auto at = static_cast<std::size_t>(o);
            const double b = graph.background(o) + random.normal(), f = graph.context(o) + 0.5 * random.normal();
            actor.push_back(a);
            occlusion.push_back(o);
            cluster.push_back(static_cast<int>(i / together));
            background.push_back(b);
            context.push_back(f);
            propensity.push_back(graph.seen[at]);
            control_mean.push_back(graph.prediction(false, at, b, f));
            treated_mean.push_back(graph.prediction(true, at, b, f));
            outcome.push_back((a ? treated_mean : control_mean).back() + 0.3 * random.normal() + shared);
        }
    }
};

/// Least squares of the outcome on O in each arm, by the normal equations: means fitted to the arm, as a T-learner has them.
struct fitted_means {
    std::vector<double> control_mean, treated_mean;

    explicit fitted_means(const study& rows) {
        std::array<double, 2> n{}, x{}, y{}, xx{}, xy{};
        for (std::size_t i = 0; i != rows.actor.size(); ++i) {
            const auto a = static_cast<std::size_t>(rows.actor[i]);
            const double o = rows.occlusion[i];
            n[a] += 1, x[a] += o, y[a] += rows.outcome[i], xx[a] += o * o, xy[a] += o * rows.outcome[i];
        }
        std::array<double, 2> slope{}, base{};
        for (std::size_t a = 0; a != 2; ++a) {
            const double spread = xx[a] - x[a] * x[a] / n[a];
            slope[a] = spread > 0 ? (xy[a] - x[a] * y[a] / n[a]) / spread : 0;
            base[a] = (y[a] - slope[a] * x[a]) / n[a];
        }
        for (const int o : rows.occlusion) {
            control_mean.push_back(base[0] + slope[0] * o);
            treated_mean.push_back(base[1] + slope[1] * o);
        }
    }
};

/// X <- U -> Y with U hidden, X -> M -> Y: the front door. M has three values.
struct mediated_study {
    std::vector<int> treatment, mediator;
    std::vector<double> outcome;

    static constexpr std::array<std::array<double, 3>, 2> likely{{{0.6, 0.3, 0.1}, {0.2, 0.3, 0.5}}}; // P(M | X)
    static constexpr std::array<double, 3> gain{0.0, 0.3, 1.0};
    static double true_effect() {
        double effect = 0;
        for (std::size_t m = 0; m != 3; ++m) effect += (likely[1][m] - likely[0][m]) * gain[m];
        return effect;
    }

    mediated_study(std::size_t n, generator& random) {
        for (std::size_t i = 0; i != n; ++i) {
            const bool u = random.chance(0.4);
            const int x = random.chance(u ? 0.7 : 0.3);
            const double drawn = random.uniform();
            const auto& p = likely[static_cast<std::size_t>(x)];
            const int m = drawn < p[0] ? 0 : drawn < p[0] + p[1] ? 1 : 2;
            treatment.push_back(x);
            mediator.push_back(m);
            outcome.push_back(gain[static_cast<std::size_t>(m)] + (u ? 0.8 : 0) + 0.5 * random.normal());
        }
    }
};

} // namespace model
