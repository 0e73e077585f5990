// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of the runtime share. Together with the three files cuda_*.cpp these are the functions that the programs here call: link
// a program of nvcc with them and -cudart none. One that is missing does not link.

#include "stand_in.hpp" // the device

#include <cuda_runtime_api.h>

namespace ptx {

inline stand_in& device() { return stand_in::get(); }

inline u64 address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
inline extent extent_of(dim3 d) { return {d.x, d.y, d.z}; }

/// Kept for cudaGetLastError.
cudaError_t give(cudaError_t error);
/// What is wrong with a call: said in a report and in what it returns.
cudaError_t refuse(cudaError_t error, kind what, const std::string& where, const std::string& text);
/// Of the device, after work was done.
cudaError_t state();

stand_in::stream_id id_of(cudaStream_t);
cudaStream_t handle_of(stand_in::stream_id);
cudaError_t wait_for(cudaStream_t, const char* where);

/// f with the stream's number, if it is there and the device still works.
template <class F>
cudaError_t in_stream(cudaStream_t s, const std::string& where, F f) {
    if (!device().knows(id_of(s))) return refuse(cudaErrorInvalidResourceHandle, kind::freed, where, "a stream that is not there");
    return device().is_broken ? state() : f(id_of(s));
}

} // namespace ptx
