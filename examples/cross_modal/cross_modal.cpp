// SPDX-License-Identifier: Apache-2.0
// Do the textual and the visual intervention find what causes the outcome, where text and scene are confounded with it? In a world whose
// causal effects are known. `cross_modal [seeds [videos [epochs [file]]]]`; what figure.py draws goes to the file.
#include "learner.hpp"

#include <car/effect.hpp>
#include <car/evaluate.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

struct setting {
    const char* name;
    interventions with;
};
constexpr std::array settings{setting{"cross-entropy only", {false, false}}, setting{"textual", {true, false}},
                              setting{"visual", {false, true}}, setting{"textual and visual", {true, true}}};
constexpr std::array measures{"accuracy, as observed", "accuracy, do(scene)", "effect of the action", "effect of the scene",
                              "distance from the causal effects"};

/// Pairs of videos that differ in nothing but the action, or the scene: logits of both, and the label whose probability it may move.
car::effect_result contrast(learner& model, const world::nature& nature, std::size_t pairs, bool of_action, world::generator& random) {
    world::dataset one, other;
    std::vector<std::size_t> labels;
    for (std::size_t k = 0; k != pairs; ++k) {
        world::video v = world::with_scene_set(random);
        v.scene = (v.action + 1 + random.below(world::labels - 1)) % world::labels; // that of another label
        labels.push_back(of_action ? v.action : v.scene);
        one.add(nature, v);
        std::size_t third = v.action; // neither the action nor the scene
        while (third == v.action || third == v.scene) third = random.below(world::labels);
        (of_action ? v.action : v.scene) = third;
        other.add(nature, v);
    }
    const auto p = model.logits(one.frames), c = model.logits(other.frames);
    return car::effect(matrix(p, world::labels), matrix(c, world::labels), labels);
}

double accuracy(learner& model, const world::dataset& test) {
    const auto logits = model.logits(test.frames);
    std::vector<double> hits(test.size());
    car::top_k(matrix(logits, world::labels), test.outcomes, hits);
    return car::mean_effect(hits).mean;
}

/// The measures of one setting and seed. The world and its videos are those of the seed alone: settings are paired.
std::array<double, measures.size()> run(const setting& s, std::uint64_t seed, std::size_t videos, std::size_t epochs) {
    world::generator random(seed);
    const world::nature nature(random);
    world::dataset training, observed, set;
    for (std::size_t k = 0; k != videos; ++k) training.add(nature, world::observed(random));
    for (std::size_t k = 0; k != 1000; ++k) observed.add(nature, world::observed(random)), set.add(nature, world::with_scene_set(random));

    learner model(s.with, nature, training, random);
    constexpr std::size_t batch = 50, video = world::frames * world::width;
    for (std::size_t epoch = 0; epoch != epochs; ++epoch)
        for (std::size_t first = 0; first + batch <= videos; first += batch) {
            const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(first + batch);
            const auto frame = static_cast<std::ptrdiff_t>(video);
            model.learn({training.frames.begin() + from * frame, training.frames.begin() + to * frame},
                        {training.outcomes.begin() + from, training.outcomes.begin() + to}, 0.005);
        }
    const double action = contrast(model, nature, 1000, true, random).mean, scene = contrast(model, nature, 1000, false, random).mean;
    return {accuracy(model, observed), accuracy(model, set), action, scene,
            std::abs(action - world::action_effect) + std::abs(scene - world::scene_effect)};
}

} // namespace

int main(int count, char** arguments) {
    const auto number = [&](int k, std::size_t otherwise) { return count > k ? std::strtoull(arguments[k], nullptr, 10) : otherwise; };
    const std::size_t seeds = number(1, 10), videos = number(2, 2000), epochs = number(3, 60);
    std::FILE* const file = count > 4 ? std::fopen(arguments[4], "w") : nullptr;

    std::array<std::array<std::vector<double>, measures.size()>, settings.size()> found;
    for (std::size_t seed = 1; seed <= seeds; ++seed)
        for (std::size_t s = 0; s != settings.size(); ++s) {
            const auto one = run(settings[s], seed, videos, epochs);
            for (std::size_t m = 0; m != measures.size(); ++m) found[s][m].push_back(one[m]);
        }

    std::printf("%zu seeds, %zu videos, %zu epochs. Causal effects: action %.3f, scene %.3f.\n"
                "Mean and half width of the 95 %% interval over seeds; the paired difference to cross-entropy only, * where it is not 0.\n",
                seeds, videos, epochs, world::action_effect, world::scene_effect);
    if (file) std::fprintf(file, "setting,measure,mean,lower,upper\n");
    for (std::size_t m = 0; m != measures.size(); ++m) {
        std::printf("%s\n", measures[m]);
        for (std::size_t s = 0; s != settings.size(); ++s) {
            std::vector<double> difference;
            for (std::size_t k = 0; k != seeds; ++k) difference.push_back(found[s][m][k] - found[0][m][k]);
            const auto mean = car::mean_effect(found[s][m]), gain = car::mean_effect(difference);
            std::printf("    %-20s%8.3f +- %.3f", settings[s].name, mean.mean, mean.upper - mean.mean);
            if (s != 0) std::printf("    %+.3f +- %.3f%s", gain.mean, gain.upper - gain.mean, gain.lower > 0 || gain.upper < 0 ? " *" : "");
            std::printf("\n");
            if (file) std::fprintf(file, "%s,\"%s\",%.6f,%.6f,%.6f\n", settings[s].name, measures[m], mean.mean, mean.lower, mean.upper);
        }
    }
    if (file) std::fclose(file);
    return 0;
}
