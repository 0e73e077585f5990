// SPDX-License-Identifier: Apache-2.0
// A report that nobody takes: all checks hold, and the program fails at its end.
#include <cuda_runtime.h>

#include <doctest/doctest.h>

TEST_CASE("memory that is never freed") {
    void* never_freed = nullptr;
    CHECK(cudaMalloc(&never_freed, 1) == cudaSuccess);
}
