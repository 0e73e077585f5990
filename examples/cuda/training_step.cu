// SPDX-License-Identifier: Apache-2.0
// Steps of training on a stream: the loss, its gradients and a descent of the logits themselves; the host waits once, at the end.
#include <car/cuda.hpp>

#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

__global__ void descend(float* p, const float* grad_p, int size) {
    const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (k < size) p[k] -= 0.5f * grad_p[k];
}

int main() {
    constexpr int rows = 4, cols = 3, size = rows * cols;
    const std::vector<float> logits{2, -1, 0.5f, 0.25f, 3, -2, 1, 1, 1, 0, 2, 4}, others{0.5f, -0.25f, 1, 1.5f, -0.5f, 0, 0, 1, 0, 2, 1, 0};
    const std::vector<int> wanted{0, 2, 1, 2};
    cudaStream_t stream;
    if (cudaStreamCreate(&stream) != cudaSuccess) return 1;

    const auto bytes = static_cast<std::size_t>(car::loss_workspace(rows));
    float *p, *c, *grad_p;
    int* labels;
    car::loss_result* result;
    std::byte* workspace;
    cudaMallocAsync(&p, size * sizeof(float), stream);
    cudaMallocAsync(&c, size * sizeof(float), stream);
    cudaMallocAsync(&grad_p, size * sizeof(float), stream);
    cudaMallocAsync(&labels, rows * sizeof(int), stream);
    cudaMallocAsync(&result, sizeof(car::loss_result), stream);
    cudaMallocAsync(&workspace, bytes, stream);
    cudaMemcpyAsync(p, logits.data(), size * sizeof(float), cudaMemcpyHostToDevice, stream);
    cudaMemcpyAsync(c, others.data(), size * sizeof(float), cudaMemcpyHostToDevice, stream);
    cudaMemcpyAsync(labels, wanted.data(), rows * sizeof(int), cudaMemcpyHostToDevice, stream);

    car::device_loss_arrays<float> arrays;
    arrays.grad_p = {grad_p, rows, cols};
    arrays.result = {result, 1};
    arrays.workspace = {workspace, static_cast<std::ptrdiff_t>(bytes)};
    car::loss_result first, last;
    for (int step = 0; step != 20; ++step) {
        const auto status =
            car::loss(car::cuda.on(stream), car::matrix_view<float, car::device>(p, rows, cols),
                      car::matrix_view<float, car::device>(c, rows, cols), car::vector_view<int, car::device>(labels, rows), {}, arrays);
        if (!status.ok()) return std::printf("%s\n", status.reason), 1;
        if (step == 0) cudaMemcpyAsync(&first, result, sizeof first, cudaMemcpyDeviceToHost, stream);
        descend<<<1, 32, 0, stream>>>(p, grad_p, size);
    }
    cudaMemcpyAsync(&last, result, sizeof last, cudaMemcpyDeviceToHost, stream);
    for (void* memory : std::initializer_list<void*>{p, c, grad_p, labels, result, workspace}) cudaFreeAsync(memory, stream);
    if (cudaStreamSynchronize(stream) != cudaSuccess) return 1;
    cudaStreamDestroy(stream);
    std::printf("loss %.4f, after 20 steps %.4f\n", first.value, last.value);
    return first.status.ok() && last.value < first.value ? 0 : 1;
}
