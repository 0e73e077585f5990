// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend/scalar/effect.hpp"
#include "../backend/simd/effect.hpp"
