// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory on a device for the length of a test.

#include <car/view.hpp>

#include <cuda_runtime_api.h>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace device_memory {

inline void check(cudaError_t error) { REQUIRE_MESSAGE(error == cudaSuccess, std::string(cudaGetErrorString(error))); }

/// A stream of the test's own.
class stream {
    cudaStream_t stream_ = nullptr;

  public:
    stream() { check(cudaStreamCreate(&stream_)); }
    ~stream() { cudaStreamDestroy(stream_); }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;
    operator cudaStream_t() const { return stream_; }
    void wait() const { check(cudaStreamSynchronize(stream_)); }
};

/// An array, some elements into its own allocation, so that alignment can be had or not.
template <class T>
class array {
    T* data_ = nullptr;
    std::size_t size_, offset_;
    cudaStream_t stream_;

  public:
    array(const std::vector<T>& values, cudaStream_t stream, std::size_t offset = 0)
        : size_(values.size()), offset_(offset), stream_(stream) {
        check(cudaMallocAsync(reinterpret_cast<void**>(&data_), (size_ + offset_ + 1) * sizeof(T), stream));
        if (size_ != 0) check(cudaMemcpyAsync(data(), values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice, stream));
        check(cudaStreamSynchronize(stream)); // the values may go out of scope
    }
    array(std::size_t size, cudaStream_t stream) : array(std::vector<T>(size), stream) {}
    ~array() { cudaFreeAsync(data_, stream_); }
    array(const array&) = delete;
    array& operator=(const array&) = delete;

    T* data() const { return data_ + offset_; }
    car::vector_view<T, car::device> view() const { return {data(), static_cast<std::ptrdiff_t>(size_)}; }
    car::matrix_view<T, car::device> view(std::size_t rows, std::size_t cols, std::size_t stride) const {
        return {data(), static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(cols), static_cast<std::ptrdiff_t>(stride)};
    }
    /// What the work before this in the stream has left there.
    std::vector<T> values() const {
        std::vector<T> host(size_);
        if (size_ != 0) check(cudaMemcpyAsync(host.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost, stream_));
        check(cudaStreamSynchronize(stream_));
        return host;
    }
};

} // namespace device_memory
