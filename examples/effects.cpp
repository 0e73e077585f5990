// SPDX-License-Identifier: Apache-2.0
// What the actor gives to the label: on four scales, with several counterfactuals of each image, by class, in a stream, by bootstrap.
#include <car/effect.hpp>

#include <cstdio>
#include <vector>

int main() {
    constexpr std::ptrdiff_t images = 6, classes = 3, draws = 2;
    const std::vector<float> p{2, -1, 0, 1, 0, -1, 0, 3, 1, -1, 2, 0, 0, 0, 4, 1, 1, 2}; // 6 x 3
    const std::vector<float> c{1, 0, 0, 0, 0, 0, 1,  2, 1,  0, 1, 0, 0, 1, 1, 1, 1, 1,   // the first draw,
                               1, 0, 1, 1, 0, 0, -1, 1, -1, 0, 1, 1, 0, 0, 2, 1, 0, 1};  // the second draw
    const std::vector<int> labels{0, 0, 1, 1, 2, 2}, videos{7, 7, 8, 8, 9, 9};
    const car::matrix_view factual{p.data(), images, classes}, counterfactual{c.data(), draws * images, classes};

    const auto print = [](const char* name, const car::estimate& e) {
        std::printf("%-22s %+.3f, standard error %.3f, 95 %% interval %+.3f to %+.3f\n", name, e.mean, e.standard_error, e.lower, e.upper);
    };
    using car::scale;
    print("probability", car::effect(factual, counterfactual, labels, {.draws = draws})); // the image is the unit, not the draw
    print("log-odds", car::effect(factual, counterfactual, labels, {.scale = scale::log_odds, .draws = draws}));
    print("logit", car::effect(factual, counterfactual, labels, {.scale = scale::logit, .draws = draws}));
    print("KL(P || Y)", car::effect(factual, counterfactual, labels, {.scale = scale::divergence, .draws = draws}));
    print("clusters: videos", car::effect(factual, counterfactual, labels, {.draws = draws}, {.clusters = videos}));
    print("bootstrap", car::effect(factual, counterfactual, labels, {.interval = car::interval::bootstrap, .draws = draws, .seed = 1}));

    car::effect_accumulator all(classes, {.draws = draws}); // a stream of batches; accumulators of threads or ranks merge
    all.add(factual, counterfactual, labels);
    for (std::ptrdiff_t k = 0; k != classes; ++k) print("class", all.of_class(k));
    print("mean over classes", all.macro());
    std::printf("positive for %.0f %% of the images\n", 100 * all.result().positive);
    return all.result().reason == car::reason::none ? 0 : 1;
}
