// SPDX-License-Identifier: Apache-2.0
#include "instances.hpp"

CAR_INSTANCES(, CAR_INSTANCE)
