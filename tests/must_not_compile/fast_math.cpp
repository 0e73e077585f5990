// SPDX-License-Identifier: Apache-2.0
// refused: ffast-math takes away
// flags: -ffast-math
#include <car/loss.hpp>

int main() {}
