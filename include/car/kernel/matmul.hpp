// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend/eigen/declarations.hpp"
#include "../backend/scalar/matmul.hpp"
