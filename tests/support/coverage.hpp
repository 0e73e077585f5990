// SPDX-License-Identifier: Apache-2.0
#pragma once

// How often the intervals of the library cover effects that are known: a row for each estimator, sample size and kind of confounding.

#include "causal_model.hpp"

#include <car/effect.hpp>
#include <car/evaluate.hpp>
#include <car/treatment.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace coverage {

/// Should the interval cover at its level? `assumed` where the assumptions of the estimator hold and the sample is large enough.
enum class expected { covers, small_sample, assumption_broken };

struct row {
    std::string estimator, data;
    std::size_t n = 0;
    enum expected expected = expected::covers;
    std::int64_t sets = 0, answered = 0, covered = 0;
    double width = 0, error = 0; // sums over the sets that have an answer

    double share() const { return static_cast<double>(covered) / static_cast<double>(answered); }
    void add(const car::estimate& e, double truth) {
        ++sets;
        if (!(e.lower <= e.upper)) return;
        ++answered;
        covered += e.lower <= truth && truth <= e.upper;
        width += e.upper - e.lower;
        error += e.mean - truth;
    }
    void add(const row& other) {
        sets += other.sets, answered += other.answered, covered += other.covered;
        width += other.width, error += other.error;
    }
};

/// What one data set of a size gives: an estimate and its truth for each estimator.
struct answer {
    const char* estimator;
    car::estimate estimate;
    double truth;
    enum expected expected = expected::covers;
};
using trial = std::function<std::vector<answer>(std::size_t n, model::generator&)>;

inline std::vector<row> run(const char* data, const std::vector<std::size_t>& sizes, std::int64_t sets, std::uint64_t seed,
                            const trial& once) {
    std::vector<row> table;
    for (const std::size_t n : sizes) {
        const auto part = [&](std::int64_t begin, std::int64_t step) {
            std::vector<row> rows;
            for (std::int64_t set = begin; set < sets; set += step) {
                model::generator random(seed + static_cast<std::uint64_t>(set) * 1000003u + n);
                const std::vector<answer> answers = once(n, random);
                if (rows.empty())
                    for (const answer& a : answers) rows.push_back({a.estimator, data, n, a.expected});
                for (std::size_t k = 0; k != answers.size(); ++k) rows[k].add(answers[k].estimate, answers[k].truth);
            }
            return rows;
        };
        std::vector<row> other;
        std::thread worker([&] { other = part(1, 2); });
        std::vector<row> rows = part(0, 2);
        worker.join();
        for (std::size_t k = 0; k != other.size(); ++k) rows[k].add(other[k]);
        table.insert(table.end(), rows.begin(), rows.end());
    }
    return table;
}

inline trial of_graph(model::confounding how) {
    return [how](std::size_t n, model::generator& random) {
        const model::occlusion_graph graph(how);
        const model::study rows(graph, n, random);
        const model::fitted_means fitted(rows);
        const std::vector<double> nothing(n, 0.0), half(n, 0.5);
        const car::treatment_data data{.treatment = rows.actor,
                                       .outcome = rows.outcome,
                                       .propensity = rows.propensity,
                                       .control_mean = rows.control_mean,
                                       .treated_mean = rows.treated_mean};
        const auto with = [&](const std::vector<double>& e, const std::vector<double>& mu0, const std::vector<double>& mu1) {
            car::treatment_data other = data;
            other.propensity = e, other.control_mean = mu0, other.treated_mean = mu1;
            return other;
        };
        const bool randomised = how == model::confounding::none, strong = how == model::confounding::strong;
        const auto from = [&](std::size_t enough) { return n >= enough ? expected::covers : expected::small_sample; };
        const auto only = [&](bool holds, std::size_t enough) { return holds ? from(enough) : expected::assumption_broken; };
        const double ate = graph.on_everybody(), att = graph.on_the_treated(), atc = graph.on_the_control();
        const std::size_t weighted = strong ? 5000 : 200, one_arm = strong ? 20000 : 200; // where the weights' asymptotics have set in
        return std::vector<answer>{
            {"difference in means", car::treatment(car::difference_in_means{}, data), ate, only(randomised, 50)},
            {"T-learner, fitted to each arm", car::treatment(car::t_learner{}, with(half, fitted.control_mean, fitted.treated_mean)), ate,
             only(randomised, 200)},
            {"Horvitz-Thompson", car::treatment(car::horvitz_thompson{}, data), ate, from(weighted)},
            {"Hajek", car::treatment(car::hajek{}, data), ate, from(weighted)},
            {"Hajek, clipped at 0.1", car::treatment(car::hajek{}, data, {.clip = 0.1}), ate, only(!strong, weighted)},
            {"Hajek, on the treated", car::treatment(car::hajek{car::weighting::treated}, data), att, from(one_arm)},
            {"Hajek, on the control", car::treatment(car::hajek{car::weighting::control}, data), atc, from(one_arm)},
            {"Hajek, overlap", car::treatment(car::hajek{car::weighting::overlap}, data), graph.on_the_overlap(),
             from(strong ? 1000 : 200)},
            {"AIPW", car::treatment(car::aipw{}, data), ate, from(weighted)},
            {"AIPW, fitted means", car::treatment(car::aipw{}, with(rows.propensity, fitted.control_mean, fitted.treated_mean)), ate,
             from(strong ? 5000 : 1000)},
            {"AIPW, wrong means", car::treatment(car::aipw{}, with(rows.propensity, nothing, nothing)), ate, from(weighted)},
            {"AIPW, wrong propensity", car::treatment(car::aipw{}, with(half, rows.control_mean, rows.treated_mean)), ate, from(200)},
            {"AIPW, both wrong", car::treatment(car::aipw{}, with(half, nothing, nothing)), ate, only(randomised, 200)},
            {"AIPW, on the treated", car::treatment(car::aipw_treated{}, data), att, from(weighted)},
            {"back-door strata", car::stratification(rows.actor, rows.outcome, rows.occlusion, 4), ate, from(strong ? 5000 : 1000)},
        };
    };
}

inline std::vector<answer> front_door(std::size_t n, model::generator& random) {
    const model::mediated_study rows(n, random);
    const auto enough = n >= 1000 ? expected::covers : expected::small_sample;
    return {{"front door", car::front_door(rows.treatment, rows.outcome, rows.mediator, 3), model::mediated_study::true_effect(), enough},
            {"difference in means", car::treatment(car::difference_in_means{}, {.treatment = rows.treatment, .outcome = rows.outcome}),
             model::mediated_study::true_effect(), expected::assumption_broken}};
}

/// Clips of five that share the treatment and a part of the noise.
inline std::vector<answer> clustered(std::size_t n, model::generator& random) {
    const model::occlusion_graph graph(model::confounding::mild);
    const model::study rows(graph, n, random, 5);
    car::treatment_data data{.treatment = rows.actor,
                             .outcome = rows.outcome,
                             .propensity = rows.propensity,
                             .control_mean = rows.control_mean,
                             .treated_mean = rows.treated_mean};
    const double truth = graph.on_everybody();
    const auto enough = n >= 1000 ? expected::covers : expected::small_sample;
    std::vector<answer> answers{{"AIPW, clusters ignored", car::treatment(car::aipw{}, data), truth, expected::assumption_broken}};
    data.clusters = rows.cluster;
    answers.push_back({"AIPW, clusters", car::treatment(car::aipw{}, data), truth, enough});
    answers.push_back({"Hajek, clusters", car::treatment(car::hajek{}, data), truth, enough});
    answers.push_back({"back-door strata, clusters", car::stratification(rows.actor, rows.outcome, rows.occlusion, 4, {}, rows.cluster),
                       truth, n >= 5000 ? expected::covers : expected::small_sample});
    return answers;
}

/// P_effect: the label's probability is 0.35 + 0.6 V with the actor and 0.2 + 0.4 V without, V uniform and common to both; two draws of
/// the counterfactual. The weights go with V.
inline std::vector<answer> paired_effect(std::size_t n, model::generator& random) {
    std::vector<double> p, c(4 * n), weights;
    std::vector<int> labels, clusters;
    double v = 0;
    for (std::size_t i = 0; i != n; ++i) {
        if (i % 3 == 0) v = random.uniform();
        const double own = random.uniform(), mixed = i % 2 == 0 ? own : v;
        const double factual = 0.35 + 0.6 * mixed;
        p.insert(p.end(), {std::log(factual / (1 - factual)), 0.0});
        for (std::size_t m = 0; m != 2; ++m) {
            const double counter = 0.2 + 0.4 * mixed + 0.2 * (random.uniform() - 0.5);
            c[2 * (m * n + i)] = std::log(counter / (1 - counter));
        }
        labels.push_back(0);
        clusters.push_back(static_cast<int>(i / 3));
        weights.push_back(0.5 + mixed);
    }
    const car::matrix_view<const double> factual{p.data(), static_cast<std::ptrdiff_t>(n), 2};
    const car::matrix_view<const double> counter{c.data(), static_cast<std::ptrdiff_t>(2 * n), 2};
    const double truth = 0.15 + 0.2 * 0.5, weighted = 0.15 + 0.2 * (0.5 * 0.5 + 1.0 / 3); // E[w v] / E[w], w = 0.5 + v
    const auto at = [&](car::interval how, const car::effect_arrays<double>& arrays) {
        return car::effect(factual, counter, labels, {.interval = how, .draws = 2, .resamples = 400, .seed = n}, arrays);
    };
    using car::interval;
    const auto from = [&](std::size_t enough) { return n >= enough ? expected::covers : expected::small_sample; };
    return {{"P_effect, clusters ignored", at(interval::student_t, {}), truth, expected::assumption_broken},
            {"P_effect, clusters, t", at(interval::student_t, {.clusters = clusters}), truth, from(50)},
            {"P_effect, clusters, normal", at(interval::normal, {.clusters = clusters}), truth, from(1000)},
            {"P_effect, clusters, bootstrap", at(interval::bootstrap, {.clusters = clusters}), truth, from(1000)},
            {"P_effect, weighted, clusters, t", at(interval::student_t, {.weights = weights, .clusters = clusters}), weighted, from(50)}};
}

/// Means of independent effects: what is left of the error when nothing is wrong. And shares, near 1, of few.
inline std::vector<answer> means(std::size_t n, model::generator& random) {
    std::vector<double> effects, hits;
    std::vector<int> groups;
    for (std::size_t i = 0; i != n; ++i) {
        effects.push_back(0.125 + random.normal());
        hits.push_back(random.chance(0.93));
        groups.push_back(static_cast<int>(i % 5));
    }
    car::profile t(5), wilson(5, {.interval = car::interval::wilson});
    t.add(hits, groups), wilson.add(hits, groups);
    using car::interval;
    const auto from = [&](std::size_t enough) { return n >= enough ? expected::covers : expected::small_sample; };
    return {{"mean, t", car::mean_effect(effects), 0.125, expected::covers},
            {"mean, normal", car::mean_effect(effects, {.interval = interval::normal}), 0.125, from(200)},
            {"mean, bootstrap", car::mean_effect(effects, {.interval = interval::bootstrap, .resamples = 400}), 0.125, from(1000)},
            {"accuracy 0.93, t", t.all(), 0.93, from(1000)},
            {"accuracy 0.93, Wilson", wilson.all(), 0.93, from(1000)},
            {"macro accuracy, t", t.macro(), 0.93, from(1000)}};
}

inline std::vector<row> table(std::int64_t sets, const std::vector<std::size_t>& sizes) {
    std::vector<row> rows;
    const auto add = [&](const char* data, std::uint64_t seed, const trial& once) {
        const auto part = run(data, sizes, sets, seed, once);
        rows.insert(rows.end(), part.begin(), part.end());
    };
    add("randomised", 1, of_graph(model::confounding::none));
    add("confounded", 2, of_graph(model::confounding::mild));
    add("strongly confounded", 3, of_graph(model::confounding::strong));
    add("hidden confounder, mediator", 4, front_door);
    add("confounded, clusters of 5", 5, clustered);
    add("paired, clusters of 3", 6, paired_effect);
    add("independent", 7, means);
    return rows;
}

/// Is the share within 94 to 96 %, widened by four standard errors of so many sets?
inline bool within(const row& r) {
    const double slack = 4 * std::sqrt(0.95 * 0.05 / static_cast<double>(r.answered));
    return std::abs(r.share() - 0.95) <= 0.01 + slack;
}

} // namespace coverage
