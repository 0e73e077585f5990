// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "row.cuh" // where rows live

#include <car/backend/cuda/plan.hpp>   // choose
#include <car/backend/cuda/status.hpp> // launch_status

// An operation says what to do with a row: `rows`, `cols`, `row(i)` with the pointers of row i, and (row, group, i, inside), which is
// called by all threads of a group; those with `inside` false have no row, and no element, but take part in every reduction.
namespace car::inline CAR_ABI::kernel::device_row {

template <class Operation, class Row, class Group>
__global__ void __launch_bounds__(Group::most_threads) run_rows(const Operation operation) {
    __shared__ alignas(16) unsigned char scratch[Group::scratch_bytes == 0 ? 1 : Group::scratch_bytes];
    extern __shared__ __align__(16) unsigned char dynamic[];
    Group group(scratch);
    const std::int64_t i = group.row();
    const bool inside = i < operation.rows;
    const Row row(operation, group, i, inside, dynamic);
    operation(row, group, i, inside);
    row.flush();
}

inline launch_status launched(const char* kernel) {
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? launch_status{} : launch_status{launch::device_error, kernel, static_cast<int>(error)};
}

template <class Row, class Group, class Operation>
launch_status run(const Operation& operation, const plan& how, cudaStream_t stream, const char* name) {
    const std::int64_t blocks = (operation.rows + how.rows_per_block() - 1) / how.rows_per_block();
    if (blocks * how.cluster > 0x7fffffff) return {launch::not_supported, "more rows than a grid has blocks"};
    const auto kernel = run_rows<Operation, Row, Group>;
    if (how.shared > unasked) {
        const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, how.shared);
        if (error != cudaSuccess) return {launch::device_error, name, static_cast<int>(error)};
    }
    cudaLaunchConfig_t where{};
    where.gridDim = dim3(static_cast<unsigned>(blocks * how.cluster));
    where.blockDim = dim3(static_cast<unsigned>(how.block));
    where.dynamicSmemBytes = static_cast<std::size_t>(how.shared);
    where.stream = stream;
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(how.cluster), 1, 1};
    where.attrs = &cluster;
    where.numAttrs = how.cluster > 1;
    cudaLaunchKernelEx(&where, kernel, operation);
    return launched(name);
}

template <class T, int Vector, class Operation>
launch_status run_with(const Operation& operation, const plan& how, cudaStream_t stream, const char* name) {
    constexpr int packs = elements_of(sizeof(T), Vector) / Vector;
    switch (how.tier) {
    case tier::registers:
        if (how.group == 8) return run<register_row<T, Vector, packs>, lanes<8>>(operation, how, stream, name);
        if (how.group == 32) return run<register_row<T, Vector, packs>, lanes<32>>(operation, how, stream, name);
        return run<register_row<T, Vector, packs>, whole_block>(operation, how, stream, name);
    case tier::tiny: return run<tiny_row<T>, lanes<1>>(operation, how, stream, name);
    case tier::shared: return run<shared_row<T, Vector>, whole_block>(operation, how, stream, name);
    case tier::cluster:
        if constexpr (Vector > 1) return run<shared_row<T, Vector>, whole_cluster>(operation, how, stream, name);
        break;
    case tier::streamed: return run<streamed_row<T, Vector>, whole_block>(operation, how, stream, name);
    }
    return {launch::not_supported, name};
}

/// Runs an operation on its rows by the plan. Name is what a failed launch is reported with.
template <class Operation>
launch_status run_operation(const Operation& operation, const plan& how, cudaStream_t stream, const char* name) {
    using T = typename Operation::storage;
    if (operation.rows == 0) return {};
    return how.vector == 1 ? run_with<T, 1>(operation, how, stream, name) : run_with<T, 16 / sizeof(T)>(operation, how, stream, name);
}

inline bool is_aligned(const void* data, std::ptrdiff_t row_bytes, std::ptrdiff_t rows) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && (rows < 2 || row_bytes % 16 == 0);
}

/// What the device of the calling thread has.
inline launch_status capabilities_of_device(capabilities& device) {
    int current = 0;
    cudaError_t error = cudaGetDevice(&current);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&device.major, cudaDevAttrComputeCapabilityMajor, current);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&device.shared_per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin, current);
    return error == cudaSuccess ? launch_status{} : launch_status{launch::device_error, "no device", static_cast<int>(error)};
}

} // namespace car::inline CAR_ABI::kernel::device_row
