// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shared.cuh" // where rows live

#include <car/backend.hpp>             // cuda_backend
#include <car/backend/cuda/plan.hpp>   // choose
#include <car/backend/cuda/status.hpp> // launch_status
#include <car/view.hpp>                // matrix_view

#include <type_traits> // std::is_same_v

// An operation says what to do with a row: `rows`, `cols`, the kernels it `has`, whether it `is_light` on registers, `row(i)` with the
// pointers of row i, and (row, group, i, inside), which is called by all threads of a group; those with `inside` false have no row, and no
// element, but take part in every reduction.
namespace car::inline CAR_ABI::kernel::device_row {

/// Which kernels an operation has: of every tier; none for tiny rows or clusters; of rows read again in every pass, by any number of
/// threads.
enum class kernels { all, few, streamed };

template <class Row, class Group>
inline constexpr int threads_of = Row::most_threads < Group::most_threads ? Row::most_threads : Group::most_threads;

/// Blocks that a multiprocessor must have registers for: many where rows are in registers, if the operation can do with few. Elsewhere one
/// is enough: asked for less, ptxas saves registers by spilling.
template <class Operation, class Row, class Group>
constexpr int blocks_of() {
    if (!Operation::is_light || Row::most_threads != most_in_registers) return 1;
    return Group::resident_threads / threads_of<Row, Group>;
}

template <class Operation, class Row, class Group>
__global__ void __launch_bounds__(threads_of<Row, Group>, blocks_of<Operation, Row, Group>()) run_rows(const Operation operation) {
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
    if (std::is_same_v<Group, launched_threads>)
        where.blockDim = dim3(static_cast<unsigned>(how.group), static_cast<unsigned>(how.rows_per_block()));
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

/// By clusters: in cluster.cuh, since those kernels alone are not for every device.
template <class Operation>
launch_status run_in_cluster(const Operation& operation, const plan& how, cudaStream_t stream, const char* name);

template <class T, int Vector, class Operation>
launch_status run_with(const Operation& operation, const plan& how, cudaStream_t stream, const char* name) {
    constexpr int packs = elements_of(sizeof(T), Vector) / Vector;
    switch (how.tier) {
    case tier::registers:
        if (how.group == 8) return run<register_row<T, Vector, packs>, lanes<8>>(operation, how, stream, name);
        if (how.group == 32) return run<register_row<T, Vector, packs>, lanes<32>>(operation, how, stream, name);
        return run<register_row<T, Vector, packs>, whole_block>(operation, how, stream, name);
    case tier::tiny:
        if constexpr (Operation::has == kernels::all) return run<tiny_row<T>, lanes<1>>(operation, how, stream, name);
        break;
    case tier::shared: return run<shared_row<T, Vector>, whole_block>(operation, how, stream, name);
    case tier::cluster:
        if constexpr (Vector == vector_of(sizeof(T)) && Operation::has == kernels::all) return run_in_cluster(operation, how, stream, name);
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
    if constexpr (Operation::has == kernels::streamed) {
        return run<streamed_row<T, 1>, launched_threads>(operation, how, stream, name);
    } else {
        constexpr int vector = vector_of(sizeof(T));
        if constexpr (vector != 1)
            if (how.vector == 1) return run_with<T, 1>(operation, how, stream, name);
        return run_with<T, vector>(operation, how, stream, name);
    }
}

/// How the matrices of a call lie in memory, those that are not there left out.
class layout {
    std::ptrdiff_t rows_ = 0, cols_ = 0;
    int width_ = 1;
    bool contiguous_ = true, aligned_ = true, in_rows_ = true;

    template <class T>
    void add(const matrix_view<T, device>& m) {
        if (!m) return;
        rows_ = m.rows, cols_ = m.cols, width_ = sizeof(T);
        const auto begin = reinterpret_cast<std::uintptr_t>(m.data);
        in_rows_ = in_rows_ && (m.cols < 2 || m.col_stride == 1);
        contiguous_ = contiguous_ && (m.rows < 2 || m.row_stride == m.cols);
        aligned_ = aligned_ && begin % 16 == 0 && (m.rows < 2 || m.row_stride * width_ % 16 == 0) && m.cols * width_ % 16 == 0;
    }

  public:
    template <class... Matrices>
    explicit layout(const Matrices&... matrices) {
        (add(matrices), ...);
    }
    launch_status status() const {
        if (!in_rows_) return {launch::not_supported, "columns that are not 1 apart"};
        if (cols_ > 0x3fffffff) return {launch::not_supported, "more columns than 2^30"};
        return {};
    }
    /// Few kernels: as for rows apart and a device without clusters, which have no kernels of their own then.
    plan choose(const capabilities& device, kernels has) const {
        if (has == kernels::streamed) return choose_streamed(cols_);
        const bool all = has == kernels::all;
        return device_row::choose(width_, cols_, contiguous_ && all, aligned_, {all ? device.major : 8, device.shared_per_block});
    }
};

/// What the device of the calling thread has.
inline launch_status capabilities_of_device(capabilities& device) {
    int current = 0;
    cudaError_t error = cudaGetDevice(&current);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&device.major, cudaDevAttrComputeCapabilityMajor, current);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&device.shared_per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin, current);
    return error == cudaSuccess ? launch_status{} : launch_status{launch::device_error, "no device", static_cast<int>(error)};
}

/// Runs an operation on rows that lie as `matrices` do.
template <class Operation>
launch_status run_on(const Operation& operation, const layout& matrices, cuda_backend on, const char* name) {
    if (const launch_status status = matrices.status(); !status.ok()) return status;
    capabilities device;
    if (const launch_status status = capabilities_of_device(device); !status.ok()) return status;
    return run_operation(operation, matrices.choose(device, Operation::has), on.stream, name);
}

} // namespace car::inline CAR_ABI::kernel::device_row
