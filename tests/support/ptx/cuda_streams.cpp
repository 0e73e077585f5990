// SPDX-License-Identifier: Apache-2.0
// Streams, events, graphs, the device's properties and errors.
#include "cuda_runtime.hpp"

#include <cstdio>
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

namespace ptx {

static cudaError_t last_error = cudaSuccess;

cudaError_t give(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

cudaError_t refuse(cudaError_t error, kind what, const std::string& where, const std::string& text) {
    device().report_fault(what, where, text);
    return give(error);
}

cudaError_t state() { return give(device().is_broken ? cudaErrorLaunchFailure : cudaSuccess); }

// 0, 1 and 2 are handles with a meaning, all of the default stream here.
stand_in::stream_id id_of(cudaStream_t s) { return address_of(s) <= 2 ? 0 : address_of(s) - 2; }
cudaStream_t handle_of(stand_in::stream_id id) { return reinterpret_cast<cudaStream_t>(id + 2); }

cudaError_t wait_for(cudaStream_t s, const char* where) {
    return in_stream(s, where, [&](stand_in::stream_id id) {
        if (device().is_recording(id))
            return refuse(cudaErrorStreamCaptureUnsupported, kind::synchronisation, where, "waits for a stream that is recorded");
        device().finish(id);
        return state();
    });
}

} // namespace ptx

using namespace ptx;

extern "C" {

// ---- the device

cudaError_t cudaGetDevice(int* number) { return *number = 0, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int number) { return give(number == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int) {
    const device_properties& d = device().how.device;
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
    const device_properties& d = device().how.device;
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
        device().put(
            id, [] {}, stand_in::purpose::release);
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
