// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernels are compared with: what a memory can do, and what one writes by hand. In float, without a bound on their errors.
// baselines.cpp is compiled with every instruction of the machine, and knows nothing of the library.

#include <cstddef>

namespace baselines {

/// Two batches of logits, row after row.
struct batch {
    const float* p;
    const float* c;
    const int* labels;
    std::ptrdiff_t rows, classes;
};

/// Both streams read once: the least that a forward pass reads.
float read_two(const batch& from);

/// The least that a pass with gradients reads and writes.
void copy_two(const batch& from, float* to_p, float* to_c);

/// The loss as it is printed, one element after the other; with its gradients, unless they are null.
double plain_loop(const batch& from, float* to_p, float* to_c);

/// The same in expressions of Eigen's arrays, a row at a time.
double eigen_rows(const batch& from, float* to_p, float* to_c);

/// The same in expressions of xtensor, without gradients; 0 where there is no xtensor.
double xtensor_rows(const batch& from);

} // namespace baselines
