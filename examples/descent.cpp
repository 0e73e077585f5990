// SPDX-License-Identifier: Apache-2.0
// Gradient descent on the counterfactual logits alone: CAR makes them flat, for it is a flatness penalty weighted by P.
// Rows are std::array; nothing but the standard library.
#include <car/corrected.hpp>
#include <car/loss.hpp>

#include <array>
#include <cstdio>
#include <vector>

int main() {
    const std::vector<std::array<double, 3>> p{{2.0, -1.0, 0.5}, {0.25, 3.0, -2.0}};
    std::vector<std::array<double, 3>> c{{0.5, -0.25, 1.0}, {1.5, -0.5, 0.0}}, grad_c(2), corrected(2);
    const std::vector<int> labels{0, 1};

    double first = 0, last = 0;
    for (int step = 0; step <= 200; ++step) {
        last = car::loss(p, c, labels, {.alpha = 1.0}, {.grad_c = car::view(grad_c)}).divergence;
        if (step == 0) first = last;
        if (step % 50 == 0) std::printf("step %3d: KL(P || Y) = %.3e\n", step, last);
        for (std::size_t i = 0; i != c.size(); ++i)
            for (std::size_t k = 0; k != 3; ++k) c[i][k] -= 5 * grad_c[i][k];
    }
    car::corrected_softmax(p, c, car::view(corrected));
    std::printf("Y[0] = %.4f %.4f %.4f\n", corrected[0][0], corrected[0][1], corrected[0][2]);
    return last < first / 10 ? 0 : 1;
}
