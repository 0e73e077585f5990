// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data.hpp"

#include <car/eigen.hpp> // Eigen matrices as views
#include <car/loss.hpp>  // the loss and both its gradients

/// One hidden layer of rectified units, one set of weights for every branch that goes through it.
class network {
    struct parameters {
        matrix in, out;
        Eigen::RowVectorXf in_bias, out_bias;
    };
    parameters weights_, gradient_, velocity_;

  public:
    /// What a forward pass leaves for its backward pass.
    struct pass {
        matrix input, hidden, logits;
    };

    network(int hidden, std::mt19937_64& random) {
        gradient_ = {matrix::Zero(pixels, hidden), matrix::Zero(hidden, classes), Eigen::RowVectorXf::Zero(hidden),
                     Eigen::RowVectorXf::Zero(classes)};
        weights_ = velocity_ = gradient_;
        std::normal_distribution<float> normal;
        for (float& weight : weights_.in.reshaped()) weight = normal(random) * std::sqrt(2.0F / pixels);
        for (float& weight : weights_.out.reshaped()) weight = normal(random) * std::sqrt(1.0F / static_cast<float>(hidden));
    }

    pass forward(matrix input) const {
        matrix hidden = ((input * weights_.in).rowwise() + weights_.in_bias).cwiseMax(0);
        matrix logits = (hidden * weights_.out).rowwise() + weights_.out_bias;
        return {std::move(input), std::move(hidden), std::move(logits)};
    }

    /// Adds the gradient that reaches the weights through one pass; the passes of a step add up.
    void backward(const pass& through, const matrix& grad_logits) {
        gradient_.out.noalias() += through.hidden.transpose() * grad_logits;
        gradient_.out_bias += grad_logits.colwise().sum();
        const matrix grad_hidden = (through.hidden.array() > 0).select(grad_logits * weights_.out.transpose(), 0);
        gradient_.in.noalias() += through.input.transpose() * grad_hidden;
        gradient_.in_bias += grad_hidden.colwise().sum();
    }

    /// Gradient descent with momentum, from and to a gradient of zero.
    void step(float rate) {
        const auto move = [rate](auto& weight, auto& velocity, auto& gradient) {
            velocity = 0.9F * velocity - rate * gradient;
            weight += velocity;
            gradient.setZero();
        };
        move(weights_.in, velocity_.in, gradient_.in);
        move(weights_.out, velocity_.out, gradient_.out);
        move(weights_.in_bias, velocity_.in_bias, gradient_.in_bias);
        move(weights_.out_bias, velocity_.out_bias, gradient_.out_bias);
    }
};

/// What a training step leaves: its loss, and both logits as they were before it.
struct step_result {
    car::loss_result loss;
    matrix p, c;
};

/// One training step of Causal Action Recognition: the picture and its counterfactual through one network, the loss of both.
inline step_result train(network& network, const matrix& factual, const matrix& counterfactual, const std::vector<int>& labels,
                         const car::loss_options& options, float rate) {
    auto p = network.forward(factual), c = network.forward(counterfactual);
    matrix grad_p(p.logits.rows(), classes), grad_c(p.logits.rows(), classes);
    const auto loss = car::loss(p.logits, c.logits, labels, options, {.grad_p = car::view(grad_p), .grad_c = car::view(grad_c)});
    network.backward(p, grad_p);
    if (options.alpha != 0) network.backward(c, grad_c);
    network.step(rate);
    return {loss, std::move(p.logits), std::move(c.logits)};
}
