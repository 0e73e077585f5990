// SPDX-License-Identifier: Apache-2.0
// The adjustments: predictions over the strata of a confounder, exact and NWGM; a dictionary of confounders, as published and normalised;
// in-sample and cross-sample attention; the texts and videos of cross-modal learning.
#include <car/adjust.hpp>

#include <array>
#include <cstdio>
#include <vector>

int main() {
    using rows = std::vector<std::array<double, 2>>;
    const rows strata{{3, 0}, {-1, 1}}; // the logits of one sample in two strata
    const std::vector<double> prior{0.5, 0.5};
    rows exact(1), geometric(1);
    car::adjust(strata, prior, std::vector{0}, {}, {.probability = car::view(exact)});
    car::adjust(strata, prior, std::vector{0}, {.adjustment = car::adjustment::geometric}, {.probability = car::view(geometric)});
    std::printf("P(y | do x): exact %.3f, NWGM %.3f\n", exact[0][0], geometric[0][0]);

    const rows x{{1, 0}, {0, 1}}, z{{1, 2}, {3, 2}};
    rows published(2), expected(2);
    car::confounder_dictionary(x, z, prior, car::view(published), {.normalise = car::normalise::as_published});
    car::confounder_dictionary(x, z, prior, car::view(expected));
    std::printf("E[z | x] = %.3f %.3f, as published %.3f %.3f\n", expected[0][0], expected[0][1], published[0][0], published[0][1]);

    // Two samples of two rows: each attends to its own, or all to one dictionary. One workspace: the second call allocates nothing.
    const rows q{{1, 0}, {0, 1}, {1, 1}, {0, 0}};
    rows in_sample(4), cross_sample(4);
    car::workspace memory;
    car::attention(q, q, q, car::view(in_sample), {.batch = 2, .memory = &memory});
    car::attention(q, z, z, car::view(cross_sample), {.memory = &memory});
    std::printf("in-sample %.3f %.3f, cross-sample %.3f %.3f\n", in_sample[0][0], in_sample[0][1], cross_sample[0][0], cross_sample[0][1]);

    // Texts of two labels, adjusted by prompts, then choose among the frames of two videos; both go on as 2 x 2 D, for a classifier.
    const rows texts{{1, 0}, {0, 1}}, prompts{{1, 1}, {-1, 1}, {0, 2}}, frames{{2, 0}, {0, 1}, {1, 1}, {0, 3}};
    const rows approximator{{1, 0}, {0, 1}, {-0.5, 0}, {0, -0.5}}; // [t, h] -> t - h / 2
    rows adjusted(2), shown(4), grad_texts(2);
    car::textual_intervention(texts, prompts, car::view(adjusted), {}, approximator);
    car::visual_intervention(adjusted, frames, car::view(shown), {.batch = 2}, approximator);
    car::visual_intervention_vjp(adjusted, frames, shown, {.grad_t = car::view(grad_texts)}, {.batch = 2}, approximator);
    std::printf("text 0: %.3f %.3f, of video 1 it shows %.3f %.3f\n", adjusted[0][0], adjusted[0][1], shown[2][0], shown[2][1]);
    return expected[0][1] > 1.999 && published[0][1] < 1.001 ? 0 : 1;
}
