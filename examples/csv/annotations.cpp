// SPDX-License-Identifier: Apache-2.0
// Reads OccludeNet's annotations and prints how long the actors are occluded, by occluder and by degree, with intervals:
// `annotations FILE.csv [COPY.csv]`. The three degrees of one video are one cluster.
#include "annotation.hpp"

#include <car/evaluate.hpp>

#include <map>

int main(int argc, char** argv) try {
    if (argc < 2) throw std::invalid_argument("usage: annotations FILE.csv [COPY.csv]");
    const annotations all = read_annotations(argv[1]);
    std::printf("%zu clips\n", all.rows.size());
    if (argc > 2) {
        write_annotations(argv[2], all);
        if (read_annotations(argv[2]).rows != all.rows) throw std::runtime_error("the copy differs");
    }
    if (all.which != subset::dynamic || all.rows.empty()) return 0;

    std::vector<double> ratios, degrees;
    std::vector<std::int64_t> types, videos, bins(all.rows.size());
    std::map<std::string, std::int64_t> type_numbers, video_numbers;
    const auto number = [](auto& numbers, const std::string& name) {
        return numbers.emplace(name, static_cast<std::int64_t>(numbers.size())).first->second;
    };
    for (const annotation& clip : all.rows) {
        ratios.push_back(clip.duration_ratio());
        degrees.push_back(clip.occluder_size_ratio);
        types.push_back(number(type_numbers, clip.occluder_type));
        videos.push_back(number(video_numbers, clip.file_name.substr(clip.file_name.find('_') + 1))); // without the degree
    }
    const std::vector<double> edges{0.375, 0.625}; // between the degrees 0.25, 0.50 and 0.75
    car::bins(degrees, edges, bins);
    car::profile by_type(static_cast<std::ptrdiff_t>(type_numbers.size())), by_degree(3);
    by_type.add(ratios, types, videos);
    by_degree.add(ratios, bins, videos);
    const auto print = [](const char* name, const car::estimate& e) {
        std::printf("  %-10s duration ratio %.3f (%.3f to %.3f), %d clips of %d videos\n", name, e.mean, e.lower, e.upper,
                    static_cast<int>(e.count), static_cast<int>(e.units));
    };
    for (const auto& [name, type] : type_numbers) print(name.c_str(), by_type.of(type));
    print("0.25", by_degree.of(0));
    print("0.50", by_degree.of(1));
    print("0.75", by_degree.of(2));
} catch (const std::exception& error) {
    std::fprintf(stderr, "annotations: %s\n", error.what());
    return 1;
}
