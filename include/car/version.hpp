// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The version, once: the builds read it from these three lines.
#define CAR_VERSION_MAJOR 0
#define CAR_VERSION_MINOR 1
#define CAR_VERSION_PATCH 0

/// The inline namespace of everything: one for each major version, and for each way to report an error. Every function that checks
/// its arguments is another function without exceptions, or two files with different flags in one program would share its body.
#if defined(__cpp_exceptions)
#define CAR_ABI v0
#else
#define CAR_ABI v0_aborts
#endif
