// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The version, once: the builds read it from these three lines.
#define CAR_VERSION_MAJOR 0
#define CAR_VERSION_MINOR 1
#define CAR_VERSION_PATCH 0
