// SPDX-License-Identifier: Apache-2.0
// Which kernel a device's call runs on: every length of a row, type, layout and device, without a device.
#include <car/backend/cuda/plan.hpp>

#include <doctest/doctest.h>

#include <initializer_list>

using namespace car::kernel::device_row;

namespace {

constexpr capabilities ampere{8, 163 * 1024}, hopper{9, 227 * 1024}, consumer{12, 99 * 1024};

static_assert(choose(4, 10, true, false, hopper).tier == tier::tiny);
static_assert(choose(4, 400, true, true, hopper) == plan{tier::registers, 4, 4, 32, 128, 1, 0});
static_assert(choose(4, 1000, true, true, hopper) == plan{tier::registers, 4, 4, 64, 64, 1, 0});
static_assert(choose(4, 4000, true, true, hopper) == plan{tier::shared, 4, 1, 128, 128, 1, 32768});
static_assert(choose(2, 32000, true, true, hopper) == plan{tier::cluster, 8, 1, 128, 128, 2, 65536});
static_assert(choose(4, 128256, true, true, hopper) == plan{tier::cluster, 4, 1, 512, 512, 8, 131072});
static_assert(choose(2, 32000, true, true, ampere) == plan{tier::shared, 8, 1, 512, 512, 1, 131072});
static_assert(choose(4, 128256, true, true, ampere).tier == tier::streamed);
static_assert(choose(8, 64, true, true, hopper) == plan{tier::registers, 1, 8, 8, 128, 1, 0});
static_assert(choose(8, 70000, true, true, hopper).tier == tier::cluster);
static_assert(choose_streamed(64) == plan{tier::streamed, 1, 1, 8, 128, 1, 0});
static_assert(choose_streamed(65) == plan{tier::streamed, 1, 1, 32, 128, 1, 0});
static_assert(choose_streamed(1025) == plan{tier::streamed, 1, 1, most_with_options, most_with_options, 1, 0});

/// Does every column have a place, and is nothing asked for that the device does not have?
bool holds(const plan& how, int width, std::ptrdiff_t cols, bool contiguous, bool aligned, const capabilities& device) {
    const auto size = [](auto value) { return static_cast<std::ptrdiff_t>(value); };
    bool good = how.block % 32 == 0 && how.block >= 32 && how.block <= most_threads && how.block % how.group == 0;
    good = good && how.vector * width <= 16 && (how.vector == 1 || aligned) && (how.cluster == 1 || how.tier == tier::cluster);
    switch (how.tier) {
    case tier::tiny:
        return good && contiguous && cols <= 32 && how.group == 1 && how.shared == 128 * cols * width * 2 && how.shared <= 48 * 1024;
    case tier::registers:
        return good && size(how.group) * how.packs * how.vector >= cols && how.packs * how.vector == elements_of(width, how.vector) &&
               how.shared == 0 && how.group <= most_in_registers && (how.group == 8 || how.group == 32 || how.group == how.block) &&
               (how.group == 8 || size(how.group - 32) * how.packs * how.vector < cols); // with a warp less it would not fit
    case tier::shared:
    case tier::cluster: {
        const std::ptrdiff_t turns = how.shared / (size(how.block) * how.vector * width * 2);
        return good && how.shared + scratch <= device.shared_per_block && turns * how.block * how.vector * how.cluster >= cols &&
               (how.cluster == 1) == (how.tier == tier::shared) && (how.cluster == 1 || (device.major >= 9 && aligned && how.cluster <= 8));
    }
    case tier::streamed: return good && how.shared == 0 && how.group == how.block;
    }
    return false;
}

} // namespace

TEST_CASE("every row has a kernel that holds it") {
    for (const capabilities& device : {ampere, hopper, consumer})
        for (const int width : {2, 4, 8})
            for (const bool contiguous : {false, true}) {
                std::ptrdiff_t bad = 0, back = 0;
                for (const bool aligned : {false, true}) {
                    tier last = tier::tiny;
                    for (std::ptrdiff_t cols = 1; cols <= 300000; ++cols) {
                        if (aligned && cols * width % 16 != 0) continue;
                        const plan how = choose(width, cols, contiguous, aligned, device);
                        bad += !holds(how, width, cols, contiguous, aligned, device);
                        back += how.tier < last && cols > 32; // longer rows never come back to a place for shorter ones
                        last = how.tier;
                    }
                }
                CHECK(bad == 0);
                CHECK(back == 0);
            }
}
