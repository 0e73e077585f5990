// SPDX-License-Identifier: Apache-2.0
// Whatever the labels, masks and weights: refused just where a row that counts has a label out of range, or a weight is no weight.
#include "input.hpp"

#include <car/loss.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace {

template <class Int>
void fuzz_labels(input& bytes) {
    const std::ptrdiff_t rows = 1 + bytes.below(4), classes = 1 + bytes.below(5);
    const auto n = static_cast<std::size_t>(rows);
    std::vector<Int> labels(n);
    for (Int& label : labels) label = bytes.below(4) == 0 ? bytes.bits<Int>() : static_cast<Int>(bytes.below(classes));
    const std::int64_t ignore_index = bytes.flag() ? -100 : bytes.bits<std::int8_t>();
    std::vector<float> weight, sample_weight;
    std::vector<unsigned char> row_mask;
    if (bytes.flag())
        for (std::ptrdiff_t k = 0; k != classes; ++k) weight.push_back(static_cast<float>(bytes.below(4)));
    if (bytes.flag())
        for (std::size_t i = 0; i != n; ++i)
            sample_weight.push_back(bytes.below(9) == 0 ? bytes.bits<float>() : static_cast<float>(bytes.below(3)));
    if (bytes.flag())
        for (std::size_t i = 0; i != n; ++i) row_mask.push_back(static_cast<unsigned char>(bytes.below(2)));
    std::vector<float> p(n * static_cast<std::size_t>(classes)), loss(n, 7);
    for (float& v : p) v = bytes.bits<std::int8_t>();

    bool valid = true;
    std::int64_t count = 0;
    for (std::size_t i = 0; i != n; ++i) {
        if (!sample_weight.empty() && !(sample_weight[i] >= 0 && std::isfinite(sample_weight[i]))) valid = false;
        const bool fits = std::in_range<std::int64_t>(labels[i]);
        const bool ignored = (fits && static_cast<std::int64_t>(labels[i]) == ignore_index) || (!row_mask.empty() && row_mask[i] == 0) ||
                             (!sample_weight.empty() && sample_weight[i] == 0);
        if (ignored) continue;
        if (std::cmp_less(labels[i], 0) || std::cmp_greater_equal(labels[i], classes))
            valid = false;
        else
            count += weight.empty() || weight[static_cast<std::size_t>(labels[i])] != 0;
    }
    try {
        const auto result =
            car::loss(car::matrix_view<const float>(p.data(), rows, classes), {}, labels, {.alpha = 0, .ignore_index = ignore_index},
                      {.row_loss = loss, .weight = weight, .sample_weight = sample_weight, .row_mask = row_mask});
        hold(valid, "a label out of range is refused");
        hold(result.count == count, "the rows that count are counted");
    } catch (const std::invalid_argument&) {
        hold(!valid, "labels in range are not refused");
        hold(std::all_of(loss.begin(), loss.end(), [](float v) { return v == 7; }), "nothing is written");
    }
}

} // namespace

void fuzz(input& bytes) {
    switch (bytes.below(6)) {
    case 0: return fuzz_labels<signed char>(bytes);
    case 1: return fuzz_labels<unsigned short>(bytes);
    case 2: return fuzz_labels<unsigned>(bytes);
    case 3: return fuzz_labels<std::uint64_t>(bytes);
    case 4: return fuzz_labels<int>(bytes);
    default: return fuzz_labels<std::int64_t>(bytes);
    }
}
