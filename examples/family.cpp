// SPDX-License-Identifier: Apache-2.0
// One batch through several losses of the family: values, terms, gradients; and guidance at test.
#include <car/family/guidance.hpp>
#include <car/family/product_of_experts.hpp>
#include <car/family/rubi.hpp>

#include <cstdio>
#include <vector>

int main() {
    const double p[2][3] = {{2, -1, 0.5}, {0.25, 3, -2}};       // logits of the model
    const double expert[2][3] = {{3, 0, 0}, {0, -1, 2}};        // logits of what sees the scene alone
    const double bias[2][3] = {{-0.1, -3, -3}, {-2, -3, -0.2}}; // logarithms of its probabilities
    const std::vector<int> labels{0, 1};
    double grad_p[2][3], grad_q[2][3];

    const auto product = car::product_of_experts(p, bias, labels, {}, {.grad_p = grad_p});
    std::printf("product of experts %.4f: the first row, which the scene gives away, has gradients %+.3f %+.3f %+.3f\n", product.value,
                grad_p[0][0], grad_p[0][1], grad_p[0][2]);

    const auto rubi = car::rubi(p, expert, expert, labels, {.question_weight = 0.5}, {.grad_p = grad_p, .grad_q = grad_q});
    std::printf("RUBi %.4f = %.4f + 0.5 * %.4f\n", rubi.value, rubi.cross_entropy, rubi.question);

    double z[2][3];
    car::guidance(p, expert, z, {.strength = 0.5, .plausibility = 0.1});
    for (const auto& row : z) std::printf("guided logits %6.2f %6.2f %6.2f\n", row[0], row[1], row[2]);
    return product.status.ok() && rubi.status.ok() ? 0 : 1;
}
