// SPDX-License-Identifier: Apache-2.0
// The functions of the CUDA runtime that the programs here call, on the stand-in: link a program of nvcc with this and -cudart none. One
// that is missing does not link.
#include "stand_in.hpp"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

struct CUgraph_st {
    std::vector<ptx::stand_in::action> actions;
};
struct CUgraphExec_st {
    std::vector<ptx::stand_in::action> actions;
};
struct CUevent_st {
    ptx::stand_in::stream_id stream = 0;
    ptx::u64 number = 0;
};

namespace {

using ptx::kind;
using ptx::stand_in;

cudaError_t last_error = cudaSuccess;

stand_in& device() { return stand_in::get(); }

cudaError_t give(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

/// What is wrong with a call: said in a report and in what it returns.
cudaError_t refuse(cudaError_t error, kind what, const char* where, const std::string& text) {
    device().report_fault(what, where, text);
    return give(error);
}

/// After work was done.
cudaError_t state() { return give(device().is_broken ? cudaErrorLaunchFailure : cudaSuccess); }

stand_in::stream_id id_of(cudaStream_t s) {
    // 0 and the legacy handle (1) are the default stream; the handles of others begin behind those that have a meaning.
    const auto handle = reinterpret_cast<std::uintptr_t>(s);
    return handle <= 2 ? 0 : handle - 2;
}
cudaStream_t handle_of(stand_in::stream_id id) { return reinterpret_cast<cudaStream_t>(id + 2); }

template <class F>
cudaError_t in_stream(cudaStream_t s, const char* where, F f) {
    if (!device().knows(id_of(s))) return refuse(cudaErrorInvalidResourceHandle, kind::freed, where, "a stream that is not there");
    if (device().is_broken) return state();
    return f(id_of(s));
}

cudaError_t wait_for(cudaStream_t s, const char* where) {
    return in_stream(s, where, [&](stand_in::stream_id id) {
        if (device().is_recording(id))
            return refuse(cudaErrorStreamCaptureUnsupported, kind::synchronisation, where, "waits for a stream that is recorded");
        device().finish(id);
        return state();
    });
}

// ---- memory

ptx::u64 address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// Bytes of the device or of the host, and what is known of them.
struct bytes_of {
    unsigned char* data;
    ptx::region* memory;
    std::size_t offset;
};
bytes_of find(const void* p, std::size_t bytes, bool writes) {
    if (!device().memory.owns(address_of(p))) return {static_cast<unsigned char*>(const_cast<void*>(p)), nullptr, 0};
    const auto [memory, offset] = device().memory.find(address_of(p), bytes, writes);
    return {memory->data() + offset, memory, offset};
}

void copy_now(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    const bytes_of source = find(from, bytes, false), target = find(to, bytes, true);
    if (source.memory != nullptr && target.memory != nullptr) {
        target.memory->copy(target.offset, *source.memory, source.offset, bytes);
        return;
    }
    std::memcpy(target.data, source.data, bytes);
    if (source.memory != nullptr) source.memory->show_undefined(source.offset, target.data, bytes);
    if (target.memory != nullptr) target.memory->define(target.offset, bytes);
}

template <class F>
void reporting(const char* where, F f) {
    try {
        f();
    } catch (const ptx::fault& what) {
        device().report_fault(what.type, where, what.what());
    }
}

/// What each kind of copy says of its ends must be so.
bool fits(const void* to, const void* from, cudaMemcpyKind direction) {
    const bool to_device = device().memory.owns(address_of(to)), from_device = device().memory.owns(address_of(from));
    switch (direction) {
    case cudaMemcpyHostToDevice: return to_device && !from_device;
    case cudaMemcpyDeviceToHost: return !to_device && from_device;
    case cudaMemcpyDeviceToDevice: return to_device && from_device;
    case cudaMemcpyHostToHost: return !to_device && !from_device;
    case cudaMemcpyDefault: break;
    }
    return true;
}

cudaError_t copy_in_stream(void* to, const void* from, std::size_t bytes, cudaMemcpyKind direction, cudaStream_t s, const char* where) {
    return in_stream(s, where, [&](stand_in::stream_id id) {
        if (bytes == 0) return cudaSuccess;
        if (!fits(to, from, direction))
            return refuse(cudaErrorInvalidValue, kind::host_pointer, where, "a pointer that is not of the side that the copy names");
        const bool to_host = !device().memory.owns(address_of(to)), from_host = !device().memory.owns(address_of(from));
        if (device().is_recording(id)) {
            device().put(id, [=] { reporting(where, [&] { copy_now(to, from, bytes); }); });
            return cudaSuccess;
        }
        if (to_host) { // until somebody waits, what is there means nothing
            std::memset(to, 0xff, bytes);
            const bool is_watched = device().is_host(to);
            if (is_watched) device().protect(to, true);
            device().put(id, [=] {
                if (is_watched) device().protect(to, false);
                reporting(where, [&] { copy_now(to, from, bytes); });
            });
        } else if (from_host && !device().is_host(from)) { // pageable memory may change once the call has returned
            const auto* const first = static_cast<const unsigned char*>(from);
            device().put(id, [=, kept = std::vector<unsigned char>(first, first + bytes)] {
                reporting(where, [&] { copy_now(to, kept.data(), bytes); });
            });
        } else {
            device().put(id, [=] { reporting(where, [&] { copy_now(to, from, bytes); }); });
        }
        return cudaSuccess;
    });
}

void fill_now(void* at, int value, std::size_t bytes) {
    const bytes_of target = find(at, bytes, true);
    std::memset(target.data, value, bytes);
    if (target.memory != nullptr) target.memory->define(target.offset, bytes);
}

// ---- launches

stand_in::kernel_entry* entry_of(const void* f) {
    const auto found = device().kernels.find(f);
    return found == device().kernels.end() ? nullptr : &found->second;
}

cudaError_t refuse_launch(const stand_in::kernel_entry& k, cudaError_t error, const std::string& text) {
    ptx::instruction head;
    head.text = "the launch";
    head.place = k.entry->place;
    device().report_fault(ptx::describe(*k.code, k.entry->name, head, kind::launch, text));
    return give(error);
}

ptx::extent extent_of(dim3 d) { return {d.x, d.y, d.z}; }

cudaError_t launch(const void* f, dim3 grid, dim3 block, void** arguments, std::size_t shared, cudaStream_t s, dim3 cluster = {1, 1, 1}) {
    stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr)
        return refuse(cudaErrorInvalidDeviceFunction, kind::unsupported, "a launch", k == nullptr ? "of what is no kernel" : k->missing);
    const ptx::function& kernel = *k->entry;
    if (!kernel.refused.empty()) return refuse(cudaErrorNotSupported, kind::unsupported, kernel.name.c_str(), kernel.refused);
    return in_stream(s, kernel.name.c_str(), [&](stand_in::stream_id id) {
        const std::size_t threads = extent_of(block).count(), blocks = extent_of(cluster).count();
        const auto limit = static_cast<std::size_t>(device().how.device.shared_bytes_per_block);
        if (threads == 0 || grid.x == 0 || grid.y == 0 || grid.z == 0)
            return refuse_launch(*k, cudaErrorInvalidConfiguration, "of nothing");
        if (threads > ptx::threads_of_block || block.z > 64)
            return refuse_launch(*k, cudaErrorInvalidConfiguration, std::to_string(threads) + " threads of a block");
        if (threads > kernel.max_threads)
            return refuse_launch(*k, cudaErrorLaunchFailure,
                                 std::to_string(threads) + " threads of a block, of which __launch_bounds__ says " +
                                     std::to_string(kernel.max_threads));
        if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
            return refuse_launch(*k, cudaErrorInvalidConfiguration, "too many blocks");
        if (shared > k->dynamic_shared_limit || kernel.shared_bytes + shared > limit)
            return refuse_launch(*k, cudaErrorInvalidValue,
                                 std::to_string(shared) + " bytes of dynamic shared memory, of which " +
                                     std::to_string(k->dynamic_shared_limit) + " are allowed");
        if (blocks == 0 || grid.x % cluster.x || grid.y % cluster.y || grid.z % cluster.z ||
            blocks > (k->takes_any_cluster ? ptx::blocks_of_cluster : 8) || (blocks > 1 && device().how.device.major < 9))
            return refuse_launch(*k, cudaErrorInvalidClusterSize, "a cluster of " + std::to_string(blocks) + " blocks");
        ptx::launch call{extent_of(grid), extent_of(block), extent_of(cluster), shared, std::vector<unsigned char>(kernel.parameter_bytes)};
        for (std::size_t p = 0; p != kernel.parameters.size(); ++p)
            std::memcpy(call.parameters.data() + kernel.offsets[p], arguments[p], kernel.parameters[p].bytes);
        device().launch_kernel(id, *k, std::move(call));
        return cudaSuccess;
    });
}

struct {
    dim3 grid, block;
    std::size_t shared = 0;
    cudaStream_t stream = nullptr;
} pushed;

/// The PTX for the device among what the program carries: of the entries that it can run, the latest.
ptx::module* load(const unsigned char* binary, std::string& why) {
    std::uint16_t head = 0;
    std::uint64_t size = 0;
    std::memcpy(&head, binary + 6, sizeof head);
    std::memcpy(&size, binary + 8, sizeof size);
    std::uint32_t best = 0;
    std::string text;
    for (const unsigned char *p = binary + head, *end = p + size; p < end;) {
        std::uint16_t type = 0;
        std::uint32_t own_head = 0, architecture = 0;
        std::uint64_t bytes = 0;
        std::memcpy(&type, p, sizeof type);
        std::memcpy(&own_head, p + 4, sizeof own_head);
        std::memcpy(&bytes, p + 8, sizeof bytes);
        std::memcpy(&architecture, p + 28, sizeof architecture);
        const auto capability = static_cast<std::uint32_t>(10 * device().how.device.major + device().how.device.minor);
        if (type == 1 && architecture >= best && architecture <= std::max<std::uint32_t>(capability, 0)) {
            best = architecture;
            text.assign(reinterpret_cast<const char*>(p + own_head), bytes);
            text.erase(std::min(text.find('\0'), text.size()));
        }
        p += own_head + bytes;
    }
    if (text.find(".version") == text.npos) {
        why = "the program carries no PTX that can be read: compile it with code=compute_90 and --no-compress";
        return nullptr;
    }
    try {
        return &device().modules.emplace_back(ptx::decode(text, device().memory));
    } catch (const ptx::unsupported& what) {
        why = what.what();
        return nullptr;
    }
}

struct loaded {
    ptx::module* code;
    std::string why;
};

} // namespace

extern "C" {

// ---- what nvcc's code calls

void** __cudaRegisterFatBinary(void* wrapper) {
    struct contents {
        int magic, version;
        const unsigned char* data;
        void* more;
    };
    auto* const got = new loaded{};
    got->code = load(static_cast<contents*>(wrapper)->data, got->why);
    return reinterpret_cast<void**>(got);
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** binary, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
    const auto* const from = reinterpret_cast<loaded*>(binary);
    stand_in::kernel_entry k{from->code, nullptr, from->why};
    if (from->code != nullptr) {
        for (const ptx::function& f : from->code->functions)
            if (f.name == name) k.entry = &f;
        if (k.entry == nullptr) k.missing = std::string(name) + " is not in the PTX";
    }
    device().kernels[host] = k;
}
void __cudaRegisterVar(void** binary, char* host, char*, const char* name, int, size_t, int, int) {
    const auto* const from = reinterpret_cast<loaded*>(binary);
    if (from->code != nullptr && from->code->variables.contains(name)) device().symbols[host] = from->code->variables.at(name);
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t s) {
    pushed = {grid, block, shared, s};
    return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* s) {
    *grid = pushed.grid;
    *block = pushed.block;
    *shared = pushed.shared;
    *static_cast<cudaStream_t*>(s) = pushed.stream;
    return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* k, const void* f) {
    *k = reinterpret_cast<cudaKernel_t>(const_cast<void*>(f));
    return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t k, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s) {
    return launch(k, grid, block, arguments, shared, s);
}

// ---- launches

cudaError_t cudaLaunchKernel(const void* f, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s) {
    return launch(f, grid, block, arguments, shared, s);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* f, void** arguments) {
    dim3 cluster = {1, 1, 1};
    for (unsigned k = 0; k != c->numAttrs; ++k) {
        const cudaLaunchAttribute& a = c->attrs[k];
        if (a.id == cudaLaunchAttributeClusterDimension) cluster = {a.val.clusterDim.x, a.val.clusterDim.y, a.val.clusterDim.z};
    }
    return launch(f, c->gridDim, c->blockDim, arguments, c->dynamicSmemBytes, c->stream, cluster);
}
cudaError_t cudaFuncSetAttribute(const void* f, cudaFuncAttribute what, int value) {
    stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    if (what == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 ||
            k->entry->shared_bytes + static_cast<std::size_t>(value) > static_cast<std::size_t>(device().how.device.shared_bytes_per_block))
            return give(cudaErrorInvalidValue);
        k->dynamic_shared_limit = static_cast<std::size_t>(value);
    }
    if (what == cudaFuncAttributeNonPortableClusterSizeAllowed) k->takes_any_cluster = value != 0;
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void* f) {
    const stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    *a = {};
    a->sharedSizeBytes = k->entry->shared_bytes;
    a->maxThreadsPerBlock = static_cast<int>(k->entry->max_threads);
    a->maxDynamicSharedSizeBytes = static_cast<int>(k->dynamic_shared_limit);
    return cudaSuccess;
}
/// By threads and shared memory alone: registers are ptxas's affair.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* f, int threads, size_t shared) {
    const stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    const std::size_t used = k->entry->shared_bytes + shared + 1024,
                      has = static_cast<std::size_t>(device().how.device.shared_bytes_per_block) + 1024;
    *blocks = threads <= 0 || threads > 1024
                  ? 0
                  : static_cast<int>(std::min<std::size_t>({2048u / static_cast<unsigned>(threads), has / used, 32}));
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* f, int threads, size_t shared, unsigned) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, shared);
}
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* f, const cudaLaunchConfig_t* c) {
    std::size_t size = 1;
    for (unsigned k = 0; k != c->numAttrs; ++k)
        if (const auto& a = c->attrs[k]; a.id == cudaLaunchAttributeClusterDimension)
            size = std::size_t{a.val.clusterDim.x} * a.val.clusterDim.y * a.val.clusterDim.z;
    int blocks = 0;
    const cudaError_t error =
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, static_cast<int>(extent_of(c->blockDim).count()), c->dynamicSmemBytes);
    *clusters = static_cast<int>(static_cast<std::size_t>(blocks) * static_cast<std::size_t>(device().how.device.multiprocessors) / size);
    return error;
}

// ---- the device

cudaError_t cudaGetDevice(int* number) { return *number = 0, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int number) { return give(number == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int) {
    const ptx::device_properties& d = device().how.device;
    switch (what) {
    case cudaDevAttrComputeCapabilityMajor: *value = d.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = d.minor; break;
    case cudaDevAttrMultiProcessorCount: *value = d.multiprocessors; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = d.shared_bytes_per_block; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = d.shared_bytes_per_block + 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 * 1024; break;
    case cudaDevAttrReservedSharedMemoryPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = 65536; break;
    case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
    case cudaDevAttrMaxGridDimY: *value = 65535; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; break;
    case cudaDevAttrClusterLaunch: *value = d.major >= 9; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 1; break;
    default: return refuse(cudaErrorInvalidValue, kind::unsupported, "cudaDeviceGetAttribute", "attribute " + std::to_string(what));
    }
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
    *p = {};
    std::snprintf(p->name, sizeof p->name, "stand-in");
    const ptx::device_properties& d = device().how.device;
    p->major = d.major;
    p->minor = d.minor;
    p->multiProcessorCount = d.multiprocessors;
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = static_cast<std::size_t>(d.shared_bytes_per_block);
    p->sharedMemPerMultiprocessor = p->sharedMemPerBlockOptin + 1024;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->warpSize = 32;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->l2CacheSize = 50 << 20;
    p->totalGlobalMem = std::size_t{80} << 30;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    device().finish_everything();
    return state();
}
cudaError_t cudaDeviceReset() { return cudaDeviceSynchronize(); }

// ---- streams, events, graphs

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
    *s = handle_of(device().new_stream((flags & cudaStreamNonBlocking) == 0));
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithFlags(s, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int) { return cudaStreamCreateWithFlags(s, flags); }
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    return in_stream(s, "cudaStreamDestroy", [&](stand_in::stream_id id) {
        device().end_stream(id);
        return state();
    });
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) { return wait_for(s, "cudaStreamSynchronize"); }
cudaError_t cudaStreamQuery(cudaStream_t s) {
    return in_stream(s, "cudaStreamQuery", [&](stand_in::stream_id id) {
        const bool was_idle = device().is_idle(id);
        device().finish(id); // the next time it is
        return was_idle ? state() : cudaErrorNotReady;
    });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    return in_stream(s, "cudaEventRecord", [&](stand_in::stream_id id) {
        device().put(id, [] {});
        *e = {id, device().last_number()};
        return cudaSuccess;
    });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned) { return cudaEventRecord(e, s); }
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    if (device().knows(e->stream)) device().finish_until(e->stream, e->number);
    return state();
}
cudaError_t cudaEventQuery(cudaEvent_t e) { return cudaEventSynchronize(e); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) { return *milliseconds = 1, cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    return in_stream(s, "cudaStreamWaitEvent", [&](stand_in::stream_id id) {
        device().put(id, [other = *e] {
            if (device().knows(other.stream)) device().finish_until(other.stream, other.number);
        });
        return cudaSuccess;
    });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
    return in_stream(s, "cudaStreamIsCapturing", [&](stand_in::stream_id id) {
        *status = device().is_recording(id) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
    return in_stream(s, "cudaStreamBeginCapture", [&](stand_in::stream_id id) {
        if (id == 0) return give(cudaErrorStreamCaptureUnsupported);
        device().start_recording(id);
        return cudaSuccess;
    });
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
    return in_stream(s, "cudaStreamEndCapture", [&](stand_in::stream_id id) {
        *graph = new CUgraph_st{device().end_recording(id)};
        return cudaSuccess;
    });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
    *made = new CUgraphExec_st{graph->actions};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t s) {
    return in_stream(s, "cudaGraphLaunch", [&](stand_in::stream_id id) {
        for (const stand_in::action& run : graph->actions) device().put(id, run);
        return cudaSuccess;
    });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    return cudaSuccess;
}

// ---- memory

cudaError_t cudaMalloc(void** p, size_t bytes) {
    *p = bytes == 0 ? nullptr : reinterpret_cast<void*>(device().memory.allocate(bytes));
    return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t s) {
    return in_stream(s, "cudaMallocAsync", [&](stand_in::stream_id) { return cudaMalloc(p, bytes); });
}
cudaError_t cudaFree(void* p) {
    device().finish_everything();
    if (p != nullptr) reporting("cudaFree", [&] { device().memory.free(address_of(p)); });
    return state();
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t s) {
    return in_stream(s, "cudaFreeAsync", [&](stand_in::stream_id id) {
        if (p != nullptr) device().put(id, [=] { reporting("cudaFreeAsync", [&] { device().memory.free(address_of(p)); }); });
        return cudaSuccess;
    });
}
cudaError_t cudaMallocHost(void** p, size_t bytes) { return *p = device().allocate_host(bytes), cudaSuccess; }
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) { return cudaMallocHost(p, bytes); }
cudaError_t cudaFreeHost(void* p) {
    device().finish_everything();
    if (p != nullptr && !device().free_host(p))
        return refuse(cudaErrorInvalidValue, kind::freed, "cudaFreeHost", "what cudaMallocHost did not give, or freed twice");
    return state();
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind direction, cudaStream_t s) {
    return copy_in_stream(to, from, bytes, direction, s, "cudaMemcpyAsync");
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind direction) {
    const cudaError_t error = copy_in_stream(to, from, bytes, direction, nullptr, "cudaMemcpy");
    return error != cudaSuccess ? error : wait_for(nullptr, "cudaMemcpy");
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind direction, cudaStream_t s) {
    cudaError_t error = cudaSuccess;
    for (std::size_t row = 0; row != height && error == cudaSuccess; ++row)
        error = copy_in_stream(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width, direction,
                               s, "cudaMemcpy2DAsync");
    return error;
}
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t s) {
    return in_stream(s, "cudaMemsetAsync", [&](stand_in::stream_id id) {
        if (!device().memory.owns(address_of(at)))
            return refuse(cudaErrorInvalidValue, kind::host_pointer, "cudaMemsetAsync", "memory of the host");
        device().put(id, [=] { reporting("cudaMemsetAsync", [&] { fill_now(at, value, bytes); }); });
        return cudaSuccess;
    });
}
cudaError_t cudaMemset(void* at, int value, size_t bytes) {
    const cudaError_t error = cudaMemsetAsync(at, value, bytes, nullptr);
    return error != cudaSuccess ? error : wait_for(nullptr, "cudaMemset");
}
cudaError_t cudaGetSymbolAddress(void** p, const void* symbol) {
    const auto found = device().symbols.find(symbol);
    if (found == device().symbols.end()) return give(cudaErrorInvalidSymbol);
    *p = reinterpret_cast<void*>(found->second);
    return cudaSuccess;
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind direction,
                                    cudaStream_t s) {
    void* to = nullptr;
    const cudaError_t error = cudaGetSymbolAddress(&to, symbol);
    return error != cudaSuccess ? error : cudaMemcpyAsync(static_cast<char*>(to) + offset, from, bytes, direction, s);
}
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind direction) {
    const cudaError_t error = cudaMemcpyToSymbolAsync(symbol, from, bytes, offset, direction, nullptr);
    return error != cudaSuccess ? error : wait_for(nullptr, "cudaMemcpyToSymbol");
}
cudaError_t cudaMemGetInfo(size_t* unused, size_t* all) {
    *unused = *all = std::size_t{80} << 30;
    return cudaSuccess;
}

// ---- errors

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDeviceFunction: return "cudaErrorInvalidDeviceFunction";
    case cudaErrorInvalidClusterSize: return "cudaErrorInvalidClusterSize";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    default: return "another error";
    }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

} // extern "C"
