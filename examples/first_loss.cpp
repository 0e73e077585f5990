// SPDX-License-Identifier: Apache-2.0
// The loss, every term, both gradients and the effect of the actor, from plain vectors.
#include <car/effect.hpp>
#include <car/loss.hpp>

#include <cstdio>
#include <vector>

int main() {
    const std::vector<float> p{2.0f, -1.0f, 0.5f, 0.25f, 3.0f, -2.0f}; // logits of the images, 2 x 3
    const std::vector<float> c{0.5f, -0.25f, 1.0f, 1.5f, -0.5f, 0.0f}; // logits of the same images with the actor erased
    const std::vector<int> labels{0, 2};
    std::vector<float> grad_p(6), grad_c(6);

    const car::matrix_view factual{p.data(), 2, 3}, counterfactual{c.data(), 2, 3};
    const auto loss = car::loss(factual, counterfactual, labels, {.alpha = 0.5},
                                {.grad_p = car::matrix_view{grad_p.data(), 2, 3}, .grad_c = car::matrix_view{grad_c.data(), 2, 3}});
    std::printf("loss %.4f = cross-entropy %.4f + 0.5 * divergence %.4f\n", loss.value, loss.cross_entropy, loss.divergence);
    std::printf("gradients of the first row: %+.4f %+.4f %+.4f and %+.4f %+.4f %+.4f\n", grad_p[0], grad_p[1], grad_p[2], grad_c[0],
                grad_c[1], grad_c[2]);

    const auto effect = car::effect(factual, counterfactual, labels);
    std::printf("P_effect %.3f, standard error %.3f, 95 %% interval %.2f to %.2f\n", effect.mean, effect.standard_error, effect.lower,
                effect.upper);
    return loss.status.ok() ? 0 : 1;
}
