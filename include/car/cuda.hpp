// SPDX-License-Identifier: Apache-2.0
#pragma once

// The calls on a device's memory. No CUDA header is included: the kernels are in the library car::cuda.
#include "backend/cuda/effect.hpp"  // effect
#include "backend/cuda/erase.hpp"   // erase
#include "backend/cuda/loss.hpp"    // car::loss(car::cuda.on(stream), ...)
#include "backend/cuda/softmax.hpp" // softmax, log_softmax, log_sum_exp, corrected_softmax and its product
