// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The memory layout of DLPack's structures, which array libraries hand to one another in capsules: the interface's names and order.
namespace dlpack {

enum device : std::int32_t { cpu = 1, cuda = 2, cuda_host = 3, cuda_managed = 13 };
enum code : std::uint8_t { integer = 0, unsigned_integer = 1, floating = 2, brain_floating = 4, boolean = 6 };

struct tensor {
    void* data;
    std::int32_t device_type;
    std::int32_t device_id;
    std::int32_t dimensions;
    std::uint8_t type_code;
    std::uint8_t type_bits;
    std::uint16_t type_lanes;
    std::int64_t* shape;
    std::int64_t* strides; ///< in elements; null where contiguous
    std::uint64_t byte_offset;
};

/// In a capsule named "dltensor".
struct managed_tensor {
    struct tensor tensor;
    void* owner;
    void (*deleter)(managed_tensor*);
};

/// In a capsule named "dltensor_versioned".
struct versioned_tensor {
    std::uint32_t major, minor;
    void* owner;
    void (*deleter)(versioned_tensor*);
    std::uint64_t flags; ///< bit 0: read only
    struct tensor tensor;
};

} // namespace dlpack
