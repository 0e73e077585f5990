// SPDX-License-Identifier: Apache-2.0
#pragma once

// A classifier of videos by the texts of the labels, with or without each of the interventions; trained by plain cross-entropy.

#include "world.hpp"

#include <car/intervention.hpp>
#include <car/loss.hpp>

#include <algorithm>

/// Numbers that are learned, by Adam.
class parameters {
    std::vector<double> mean_, square_;
    int step_ = 0;

  public:
    std::vector<double> values, slopes;

    explicit parameters(std::vector<double> first)
        : mean_(first.size()), square_(first.size()), values(std::move(first)), slopes(values.size()) {}

    void learn(double rate) {
        ++step_;
        for (std::size_t k = 0; k != values.size(); ++k) {
            mean_[k] += 0.1 * (slopes[k] - mean_[k]);
            square_[k] += 0.001 * (slopes[k] * slopes[k] - square_[k]);
            const double first = mean_[k] / (1 - std::pow(0.9, step_)), second = square_[k] / (1 - std::pow(0.999, step_));
            values[k] -= rate * first / (std::sqrt(second) + 1e-8);
        }
    }
};

inline car::matrix_view<double> matrix(std::vector<double>& v, std::size_t cols) {
    return {v.data(), static_cast<std::ptrdiff_t>(v.size() / cols), static_cast<std::ptrdiff_t>(cols)};
}
inline car::matrix_view<const double> matrix(const std::vector<double>& v, std::size_t cols) {
    return {v.data(), static_cast<std::ptrdiff_t>(v.size() / cols), static_cast<std::ptrdiff_t>(cols)};
}

struct interventions {
    bool textual, visual;
};

/// Logits of a video: sharpness (what it shows of label l) . (text of l). Without an intervention a text is what it is, and a video shows
/// the same of every label: the mean of its frames, times a matrix that is learned.
class learner {
    static constexpr std::size_t prompts = 16;
    static constexpr double sharpness = 4;

    interventions with_;
    std::vector<double> texts_;
    parameters prompts_, textual_, visual_, pooled_;
    car::workspace memory_;
    std::vector<double> text_, shows_, text_slope_, shows_slope_, sent_; // of a batch

    car::intervention_options options(std::size_t batch) {
        return {.batch = static_cast<std::ptrdiff_t>(batch), .scale = sharpness, .memory = &memory_};
    }
    /// [first I; second I], nearly.
    static std::vector<double> near(double first, double second, std::size_t blocks, world::generator& random) {
        std::vector<double> w = random.vector(blocks * world::width * world::width, 0.02);
        for (std::size_t b = 0; b != blocks; ++b)
            for (std::size_t d = 0; d != world::width; ++d) w[(b * world::width + d) * world::width + d] += b == 0 ? first : second;
        return w;
    }
    static std::vector<double> means(const std::vector<double>& frames) {
        std::vector<double> mean(frames.size() / world::frames);
        for (std::size_t k = 0; k != frames.size(); ++k)
            mean[k / (world::frames * world::width) * world::width + k % world::width] += frames[k] / world::frames;
        return mean;
    }
    double* shown(std::vector<double>& all, std::size_t n, std::size_t l) const {
        return &all[(with_.visual ? n * world::labels + l : n) * world::width];
    }

  public:
    learner(const interventions& with, const world::nature& nature, const world::dataset& training, world::generator& random)
        : with_(with), texts_(nature.texts), prompts_({training.frames.begin(), training.frames.begin() + prompts * world::width}),
          textual_(near(1, 0, 2, random)), visual_(near(0, 1, 2, random)), pooled_(near(1, 0, 1, random)) {}

    std::vector<double> logits(const std::vector<double>& frames) {
        const std::size_t batch = frames.size() / (world::frames * world::width);
        text_ = texts_;
        if (with_.textual)
            car::textual_intervention(matrix(texts_, world::width), matrix(prompts_.values, world::width), matrix(text_, world::width),
                                      options(1), matrix(textual_.values, world::width));
        shows_.assign(batch * (with_.visual ? world::labels : 1) * world::width, 0);
        if (with_.visual) {
            car::visual_intervention(matrix(text_, world::width), matrix(frames, world::width), matrix(shows_, world::width),
                                     options(batch), matrix(visual_.values, world::width));
        } else {
            const auto mean = means(frames);
            for (std::size_t n = 0; n != batch; ++n)
                for (std::size_t i = 0; i != world::width; ++i)
                    for (std::size_t j = 0; j != world::width; ++j)
                        shows_[n * world::width + j] += mean[n * world::width + i] * pooled_.values[i * world::width + j];
        }
        std::vector<double> y(batch * world::labels);
        for (std::size_t n = 0; n != batch; ++n)
            for (std::size_t l = 0; l != world::labels; ++l)
                for (std::size_t d = 0; d != world::width; ++d)
                    y[n * world::labels + l] += sharpness * shown(shows_, n, l)[d] * text_[l * world::width + d];
        return y;
    }

    /// One step on a batch; its loss.
    double learn(const std::vector<double>& frames, const std::vector<std::size_t>& outcomes, double rate) {
        const std::vector<double> y = logits(frames);
        std::vector<double> slope(y.size());
        const double loss = car::loss(matrix(y, world::labels), {}, outcomes, {.alpha = 0}, {.grad_p = matrix(slope, world::labels)}).value;
        shows_slope_.assign(shows_.size(), 0);
        text_slope_.assign(text_.size(), 0);
        for (std::size_t n = 0; n != outcomes.size(); ++n)
            for (std::size_t l = 0; l != world::labels; ++l)
                for (std::size_t d = 0; d != world::width; ++d) {
                    const double g = sharpness * slope[n * world::labels + l];
                    shown(shows_slope_, n, l)[d] += g * text_[l * world::width + d];
                    text_slope_[l * world::width + d] += g * shown(shows_, n, l)[d];
                }
        if (with_.visual) {
            sent_.assign(text_.size(), 0);
            car::visual_intervention_vjp(matrix(text_, world::width), matrix(frames, world::width), matrix(shows_slope_, world::width),
                                         {.grad_t = matrix(sent_, world::width), .grad_approximator = matrix(visual_.slopes, world::width)},
                                         options(outcomes.size()), matrix(visual_.values, world::width));
            for (std::size_t k = 0; k != sent_.size(); ++k) text_slope_[k] += sent_[k];
            visual_.learn(rate);
        } else {
            const auto mean = means(frames);
            std::fill(pooled_.slopes.begin(), pooled_.slopes.end(), 0);
            for (std::size_t n = 0; n != outcomes.size(); ++n)
                for (std::size_t i = 0; i != world::width; ++i)
                    for (std::size_t j = 0; j != world::width; ++j)
                        pooled_.slopes[i * world::width + j] += mean[n * world::width + i] * shows_slope_[n * world::width + j];
            pooled_.learn(rate);
        }
        if (with_.textual) {
            car::textual_intervention_vjp(
                matrix(texts_, world::width), matrix(prompts_.values, world::width), matrix(text_slope_, world::width),
                {.grad_prompts = matrix(prompts_.slopes, world::width), .grad_approximator = matrix(textual_.slopes, world::width)},
                options(1), matrix(textual_.values, world::width));
            prompts_.learn(rate);
            textual_.learn(rate);
        }
        return loss;
    }
};
