// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

/// What a half computes, and how far the same figure of the other half may be from it: twice the bound of its contract.
struct figure {
    const char* name;
    double value;
    double tolerance;
};

namespace checked {
std::vector<figure> figures();
void fail();
} // namespace checked

namespace unchecked {
std::vector<figure> figures();
void fail();
} // namespace unchecked
