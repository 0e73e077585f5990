// SPDX-License-Identifier: Apache-2.0
// The kernels that need 9.0: car::loss of rows that have a cluster of blocks each, for every type of logits.
#include <car/cuda/cluster.cuh>
#include <car/cuda/loss.cuh>

namespace car::inline CAR_ABI::kernel::device_row {

template launch_status run_in_cluster(const loss_rows<float, as_given<float>>&, const plan&, cudaStream_t, const char*);
template launch_status run_in_cluster(const loss_rows<double, as_given<double>>&, const plan&, cudaStream_t, const char*);
template launch_status run_in_cluster(const loss_rows<bfloat16, as_given<bfloat16>>&, const plan&, cudaStream_t, const char*);
template launch_status run_in_cluster(const loss_rows<float16, as_given<float16>>&, const plan&, cudaStream_t, const char*);

} // namespace car::inline CAR_ABI::kernel::device_row
