// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "table.hpp"

#include <array>
#include <limits>
#include <memory>

/// One clip as OccludeNet annotates it (the paper's Figure 13 and appendix D): -D has all columns, -S the action class, the file name,
/// fps and the video's duration, -I and -M the first two.
struct annotation {
    std::string action_class, file_name;
    double fps = 0, video_duration = 0; // seconds
    std::string occluder_type, occluder_file_name;
    double occluder_pixel_ratio = 0;                         // per cent
    double occluder_size_ratio = 0;                          // the degree: of the actor's box
    double occlusion_duration = 0, clip_generation_time = 0; // seconds

    double duration_ratio() const { return occlusion_duration / video_duration; }
    friend bool operator==(const annotation&, const annotation&) = default;
};

enum class subset { dynamic, still, interactive };

inline const std::vector<std::string>& columns_of(subset which) {
    static const std::array<std::vector<std::string>, 3> columns{{
        {"action class", "file name", "occluder type", "occluder file name", "occluder pixel ratio", "occluder size ratio",
         "occlusion duration", "video duration", "fps", "clip generation time"},
        {"action class", "file name", "fps", "video duration"},
        {"action class", "file name"},
    }};
    return columns[static_cast<std::size_t>(which)];
}

struct annotations {
    subset which = subset::dynamic;
    std::vector<annotation> rows;
};

/// Reads a file of any of the subsets: its columns, in any order, say which. A first column without a name, of row numbers, is skipped.
inline annotations read_annotations(const std::string& path) {
    const table file(path);
    const std::size_t named = file.header().size() - (file.header().front().empty() ? 1 : 0);
    annotations result;
    bool known = false;
    for (const subset which : {subset::dynamic, subset::still, subset::interactive})
        if (!known && named == columns_of(which).size()) result.which = which, known = true;
    if (!known) throw std::invalid_argument(path + ": has " + std::to_string(named) + " columns, expected 10 (-D), 4 (-S) or 2 (-I, -M)");
    std::vector<std::size_t> at;
    for (const auto& name : columns_of(result.which)) at.push_back(file.column(name));

    constexpr double most = std::numeric_limits<double>::max(), least = 1e-3;
    for (std::size_t row = 0; row != file.size(); ++row) {
        annotation clip;
        clip.action_class = file.text(row, at[0]);
        clip.file_name = file.text(row, at[1]);
        if (result.which == subset::still) {
            clip.fps = file.number(row, at[2], least, 1000);
            clip.video_duration = file.number(row, at[3], least, most);
        } else if (result.which == subset::dynamic) {
            clip.occluder_type = file.text(row, at[2]);
            clip.occluder_file_name = file.text(row, at[3]);
            clip.occluder_pixel_ratio = file.number(row, at[4], 0, 100);
            clip.occluder_size_ratio = file.number(row, at[5], least, 1);
            clip.video_duration = file.number(row, at[7], least, most);
            clip.occlusion_duration = file.number(row, at[6], 0, clip.video_duration + 0.01); // both are rounded to 0.01
            clip.fps = file.number(row, at[8], least, 1000);
            clip.clip_generation_time = file.number(row, at[9], 0, most);
        }
        result.rows.push_back(std::move(clip));
    }
    return result;
}

inline void write_annotations(const std::string& path, const annotations& all) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
    if (!file) throw std::runtime_error(path + ": cannot be written");
    write_row(file.get(), columns_of(all.which));
    const auto number = table::shortest;
    for (const annotation& a : all.rows) {
        std::vector<std::string> fields{a.action_class, a.file_name};
        if (all.which == subset::still) fields.insert(fields.end(), {number(a.fps), number(a.video_duration)});
        if (all.which == subset::dynamic)
            fields.insert(fields.end(),
                          {a.occluder_type, a.occluder_file_name, number(a.occluder_pixel_ratio), number(a.occluder_size_ratio),
                           number(a.occlusion_duration), number(a.video_duration), number(a.fps), number(a.clip_generation_time)});
        write_row(file.get(), fields);
    }
    if (std::fflush(file.get()) != 0) throw std::runtime_error(path + ": cannot be written");
}
