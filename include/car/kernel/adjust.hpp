// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../backend/scalar/adjust.hpp"
