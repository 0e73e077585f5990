// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <car/counterfactual.hpp> // erase and its fills
#include <car/occlusion.hpp>      // occlude

#include <Eigen/Core>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using picture = Eigen::Matrix<float, 1, Eigen::Dynamic>;

constexpr int side = 28, pixels = side * side;
constexpr int bag = 8, classes = 9, scenes = 10;              // Fashion-MNIST's label 8 is the handbag; the other nine labels are actors
constexpr float own = 0.1F;                                   // a pixel brighter than this belongs to the garment, the rest is studio black
constexpr std::array<double, 4> degrees{0, 0.25, 0.50, 0.75}; // occlusion degrees; 0 is no handbag

inline car::image_view<float> images(matrix& rows) { return {rows.data(), rows.rows(), 1, side, side}; } // a picture in every row
inline car::image_view<float> image(matrix& rows, Eigen::Index i) { return {rows.row(i).data(), 1, 1, side, side}; }
inline car::image_view<const float> whole_image(const matrix& m) { return {m.data(), 1, 1, m.rows(), m.cols()}; }

/// Real pictures of one split of Fashion-MNIST: actors with their class, and the handbags that will stand before them.
struct garments {
    matrix pictures; // one a row, 0 to 1
    std::vector<int> labels, actors, bags;

    garments(const std::string& folder, const std::string& split) {
        const auto bytes = read(folder + "/" + split + "-labels-idx1-ubyte.gz", 8);
        const auto grey = read(folder + "/" + split + "-images-idx3-ubyte.gz", 16);
        const auto count = static_cast<Eigen::Index>(bytes.size());
        if (grey.size() != bytes.size() * pixels) throw std::runtime_error("Fashion-MNIST: pictures and labels do not match in " + folder);
        using raw = Eigen::Matrix<unsigned char, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
        pictures = Eigen::Map<const raw>(grey.data(), count, pixels).cast<float>() / 255;
        for (int i = 0; i != count; ++i) {
            labels.push_back(bytes[static_cast<std::size_t>(i)] - (bytes[static_cast<std::size_t>(i)] > bag));
            (bytes[static_cast<std::size_t>(i)] == bag ? bags : actors).push_back(i);
        }
    }

  private:
    static std::vector<unsigned char> read(const std::string& path, std::size_t header) { // an IDX file: a header, then bytes
        const gzFile file = gzopen(path.c_str(), "rb");
        if (!file) throw std::runtime_error("cannot read " + path);
        std::vector<unsigned char> bytes(std::size_t{60'000} * pixels + header);
        const int got = gzread(file, bytes.data(), static_cast<unsigned>(bytes.size()));
        gzclose(file);
        if (got < static_cast<int>(header)) throw std::runtime_error("cannot read " + path);
        bytes.resize(static_cast<std::size_t>(got));
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));
        return bytes;
    }
};

/// Ten textures, sums of plane waves: four gratings, three fields of blobs, three of noise, each of its own orientation and scale.
/// Every picture takes its own shift, contrast and grain.
class scenery {
    struct plane_wave {
        double x, y, phase;
    };
    std::array<std::vector<plane_wave>, scenes> waves_;

  public:
    explicit scenery(std::mt19937_64& random) {
        std::uniform_real_distribution<double> unit;
        constexpr double turn = 2 * M_PI;
        for (int scene = 0; scene != scenes; ++scene) {
            const bool grating = scene < 4, blobs = !grating && scene < 7;
            const double length = grating ? 5 + 3 * unit(random) : blobs ? 8 + 3 * (scene - 4) : 4 + 1.5 * (scene - 7); // in pixels
            for (int i = grating ? 1 : blobs ? 4 : 12; i != 0; --i) {
                const double angle = grating ? turn / 8 * (scene + 0.5 * unit(random)) : turn * unit(random);
                const double rate = turn / (length * (grating ? 1 : 0.8 + 0.4 * unit(random)));
                waves_[static_cast<std::size_t>(scene)].push_back({rate * std::cos(angle), rate * std::sin(angle), turn * unit(random)});
            }
        }
    }

    picture paint(int scene, std::mt19937_64& random) const {
        std::uniform_real_distribution<double> unit;
        std::normal_distribution<double> grain(0, 0.05);
        const auto& waves = waves_[static_cast<std::size_t>(scene)];
        const double left = 3 * unit(random), up = 3 * unit(random), contrast = 0.15 + 0.15 * unit(random);
        picture painted(pixels);
        for (int pixel = 0; pixel != pixels; ++pixel) {
            double sum = 0;
            for (const auto& wave : waves) sum += std::cos(wave.x * (pixel % side + left) + wave.y * (pixel / side + up) + wave.phase);
            const double value = 0.45 + contrast * sum * std::sqrt(2.0 / static_cast<double>(waves.size())) + grain(random);
            painted[pixel] = static_cast<float>(std::clamp(value, 0.0, 1.0));
        }
        return painted;
    }
};

/// 1 where a garment is, 0 where the studio shows.
inline picture cutout(const picture& garment) { return (garment.array() > own).cast<float>(); }

inline matrix crop(const picture& from, const car::box& box) {
    return Eigen::Map<const matrix>(from.data(), side, side).block(int(box.y), int(box.x), int(box.height), int(box.width));
}

/// The smallest box around the pixels of a mask.
inline car::box box_of(const picture& mask) {
    int left = side, top = side, right = 0, bottom = 0;
    for (int pixel = 0; pixel != pixels; ++pixel) {
        if (mask[pixel] == 0) continue;
        left = std::min(left, pixel % side), right = std::max(right, pixel % side + 1);
        top = std::min(top, pixel / side), bottom = std::max(bottom, pixel / side + 1);
    }
    return {double(left), double(top), double(right - left), double(bottom - top)};
}

/// Pictures as the network sees them, and what it sees with the actor erased by either fill; scene and handbag stay.
struct dataset {
    matrix factual, black, mean;
    std::vector<int> labels;
};

/// Actors before scenes: the scene goes with the class in `bound` of the pictures and is any of the ten in the others. A handbag
/// of the given degree stands on the centre of the actor's box; without a degree, each picture draws one. The same random state
/// gives the same actors, scenes and handbags at every degree.
inline dataset compose(const garments& source, const std::vector<int>& chosen, const scenery& scenery, double bound,
                       std::optional<double> degree, std::mt19937_64 random) {
    const auto count = static_cast<Eigen::Index>(chosen.size());
    dataset data{matrix(count, pixels), matrix(count, pixels), matrix(count, pixels), {}};
    matrix masks(count, pixels);
    std::vector<int> bags;
    std::vector<double> scales;
    std::uniform_int_distribution<int> any_scene(0, scenes - 1);
    std::uniform_int_distribution<std::size_t> any_degree(0, degrees.size() - 1), any_bag(0, source.bags.size() - 1);
    std::bernoulli_distribution confounded(bound);
    for (Eigen::Index i = 0; i != count; ++i) {
        const int actor = chosen[static_cast<std::size_t>(i)], label = source.labels[static_cast<std::size_t>(actor)];
        const int other = any_scene(random), scene = confounded(random) ? label : other;
        masks.row(i) = cutout(source.pictures.row(actor));
        data.factual.row(i) = (masks.row(i).array() > 0).select(source.pictures.row(actor), scenery.paint(scene, random));
        data.labels.push_back(label);
        bags.push_back(source.bags[any_bag(random)]);
        const double drawn = degrees[any_degree(random)];
        scales.push_back(degree.value_or(drawn));
    }
    car::erase(images(data.factual), images(masks), car::constant_fill{0.0}, images(data.black));
    car::erase(images(data.factual), images(masks), car::mean_fill{}, images(data.mean));
    for (Eigen::Index i = 0; i != count; ++i) {
        const double scale = scales[static_cast<std::size_t>(i)];
        if (scale == 0) continue;
        const picture whole = source.pictures.row(bags[static_cast<std::size_t>(i)]), mask = cutout(whole);
        const car::box bounds = box_of(mask), actor = box_of(masks.row(i));
        const matrix handbag = crop(whole, bounds), opacity = crop(mask, bounds);
        for (matrix* pictures : {&data.factual, &data.black, &data.mean}) {
            const auto frame = image(*pictures, i);
            car::occlude(frame, std::span(&actor, 1), whole_image(handbag), whole_image(opacity), {.scale = scale}, frame);
        }
    }
    return data;
}
