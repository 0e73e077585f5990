// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend/scalar/family.hpp"
#include "../backend/simd/family.hpp"
