// SPDX-License-Identifier: Apache-2.0
// Memory of the device and of the host, and copies between them.
#include "cuda_runtime.hpp"

using namespace ptx;

namespace {

/// Bytes of the device or of the host, and what is known of them.
struct bytes_of {
    unsigned char* data;
    region* memory;
    std::size_t offset;
};
bytes_of find(const void* p, std::size_t bytes) {
    if (!device().memory.owns(address_of(p))) return {static_cast<unsigned char*>(const_cast<void*>(p)), nullptr, 0};
    const auto [memory, offset] = device().memory.find(address_of(p), bytes);
    return {memory->data() + offset, memory, offset};
}

void copy_now(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    const bytes_of source = find(from, bytes), target = find(to, bytes);
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
    } catch (const fault& what) {
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
    const bytes_of target = find(at, bytes);
    std::memset(target.data, value, bytes);
    if (target.memory != nullptr) target.memory->define(target.offset, bytes);
}

} // namespace

extern "C" {

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
    const auto release = [=] { reporting("cudaFreeAsync", [&] { device().memory.free(address_of(p)); }); };
    if (p != nullptr && device().is_broken) release();
    return in_stream(s, "cudaFreeAsync", [&](stand_in::stream_id id) {
        if (p != nullptr) device().put(id, release, stand_in::purpose::release);
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

} // extern "C"
