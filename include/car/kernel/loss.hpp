// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend/eigen/declarations.hpp"
#include "../backend/scalar/loss.hpp"
#include "../backend/simd/loss.hpp"
