// SPDX-License-Identifier: Apache-2.0
// Whatever the options: a call refuses before it writes, naming itself, or gives every row.
#include "input.hpp"

#include <car/effect.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>

#include <cmath>
#include <stdexcept>
#include <string>

void fuzz(input& bytes) {
    const float p[3][4] = {{1, 2, 3, 0.5f}, {0, -1, 5, 2}, {-2, 1, 1, 1}}, c[3][4] = {{0, 1, 0, 1}, {2, 2, 2, 2}, {-1, 3, 0, 0}};
    const int labels[3] = {0, 3, -100};
    car::loss_options o;
    o.alpha = bytes.number();
    o.strength = bytes.flag() ? 1 : bytes.number();
    o.temperature = bytes.flag() ? 1 : bytes.number();
    o.logit_scale = bytes.flag() ? 1 : bytes.number();
    if (bytes.flag()) o.softcap = bytes.number();
    o.label_smoothing = bytes.flag() ? 0 : bytes.number();
    o.z_weight = bytes.flag() ? 0 : bytes.number();
    o.ignore_index = bytes.flag() ? -100 : bytes.bits<std::int64_t>();
    o.kl_target = bytes.choice<car::kl_target>(2);
    o.flow = bytes.choice<car::flow>(4);
    o.reduction = bytes.choice<car::reduction>(3);
    if (bytes.flag()) o.divisor = bytes.number();
    o.empty = bytes.choice<car::empty>(3);
    o.precision = bytes.choice<car::precision>(3);
    const bool finite = std::isfinite(o.alpha) && std::isfinite(o.strength) && std::isfinite(o.z_weight);
    const auto positive = [](double v) { return std::isfinite(v) && v > 0; };
    const bool valid =
        finite && positive(o.temperature) && positive(o.logit_scale) && positive(o.softcap.value_or(1)) &&
        positive(o.divisor.value_or(1)) && o.label_smoothing >= 0 && o.label_smoothing <= 1 &&
        (o.kl_target == car::kl_target::prediction || o.flow == car::flow::full || o.flow == car::flow::stop_counterfactual) &&
        o.ignore_index == -100; // the third label is a class only then
    float grad_p[3][4] = {}, grad_c[3][4] = {}, loss[3] = {7, 7, 7};
    try {
        const auto result = car::loss(p, c, labels, o, {.grad_p = grad_p, .grad_c = grad_c, .row_loss = loss});
        hold(valid, "what is not valid is refused");
        hold(result.count == 2 && loss[2] == 0, "two rows count");
        car::loss_hvp(p, c, labels, {.p = c}, o, {.grad_p = grad_p});
    } catch (const std::invalid_argument& error) {
        hold(!valid, "what is valid is not refused");
        hold(std::string(error.what()).rfind("car::loss: ", 0) == 0, "the message names the call");
        for (const auto* values : {&grad_p, &grad_c})
            for (const auto& row : *values)
                for (const float v : row) hold(v == 0, "nothing is written");
        hold(loss[0] == 7, "nothing is written");
    }
}
