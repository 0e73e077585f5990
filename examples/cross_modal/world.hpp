// SPDX-License-Identifier: Apache-2.0
#pragma once

// A world whose causes are known. A label is an action; it has a text, and videos show it. Scenes go with actions, in videos and in what
// texts say of them (B -> V, B -> T); a light that has nothing to do with the action changes every frame of a video (Z -> V). The outcome
// is the action, or any label in a tenth of the cases: neither scene nor light is a cause of it.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace world {

inline constexpr std::size_t labels = 8, width = 24, frames = 10, shown = 3; // the action is seen in so many of the frames
inline constexpr double confounded = 0.9, noise = 0.1;                       // scenes that go with the action; outcomes that do not
inline constexpr double action_effect = 1 - noise, scene_effect = 0;         // on the probability of an outcome

/// The same numbers with every standard library.
class generator {
    std::mt19937_64 bits_;

  public:
    explicit generator(std::uint64_t seed) : bits_(seed) {}
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits_() % n); }
    double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
    double normal() { // nearly: the sum of twelve
        double sum = -6;
        for (int k = 0; k != 12; ++k) sum += uniform();
        return sum;
    }
    std::vector<double> vector(std::size_t size, double scale) {
        std::vector<double> v(size);
        for (double& x : v) x = scale * normal();
        return v;
    }
};

using direction = std::array<double, width>;

/// What is drawn once: how actions, scenes and lights look, and the texts, which tell of the scene as well.
struct nature {
    std::array<direction, labels> action, scene;
    std::array<direction, 4> light;
    std::vector<double> texts; ///< labels x width

    explicit nature(generator& random) {
        const auto draw = [&](auto& all) {
            for (auto& one : all)
                for (double& x : one) x = random.normal() / std::sqrt(static_cast<double>(width));
        };
        draw(action), draw(scene), draw(light);
        for (std::size_t l = 0; l != labels; ++l)
            for (std::size_t d = 0; d != width; ++d) texts.push_back(action[l][d] + scene[l][d]);
    }
};

struct video {
    std::size_t action, scene, light;
    std::uint64_t seed; ///< of everything else in it: under another action or scene the video is the same but for that
};

inline video observed(generator& random) {
    const std::size_t action = random.below(labels);
    return {action, random.uniform() < confounded ? action : random.below(labels), random.below(4), random.below(1U << 30)};
}
/// The scene is set, whatever the action: do(scene).
inline video with_scene_set(generator& random) {
    return {random.below(labels), random.below(labels), random.below(4), random.below(1U << 30)};
}

/// Videos, frames after frames, and their outcomes.
struct dataset {
    std::vector<double> frames;
    std::vector<std::size_t> outcomes;

    void add(const nature& nature, const video& v) {
        generator random(v.seed);
        outcomes.push_back(random.uniform() < noise ? random.below(labels) : v.action);
        const std::size_t first = random.below(world::frames - shown + 1);
        for (std::size_t f = 0; f != world::frames; ++f)
            for (std::size_t d = 0; d != width; ++d) {
                const bool acts = f >= first && f < first + shown;
                frames.push_back((acts ? 1.5 * nature.action[v.action][d] : 0) + nature.scene[v.scene][d] + nature.light[v.light][d] +
                                 0.15 * random.normal());
            }
    }
    std::size_t size() const { return outcomes.size(); }
};

} // namespace world
