#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "../device_update.hpp"

namespace collimate::detail {

namespace {

CUstream_st* stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

void adamw(const AdamWPart& part, const OptimizerConfig& config, const AdamWStep& step, std::int64_t num_updates) {
  cuda::AdamWUpdate update = adamw_update(config, step, num_updates);
  update.value = part.value.mutable_data_ptr<float>();
  update.gradient = part.gradient.const_data_ptr<float>();
  update.exp_avg = part.exp_avg.mutable_data_ptr<float>();
  update.exp_avg_sq = part.exp_avg_sq.mutable_data_ptr<float>();
  update.narrow = part.narrow.defined() ? part.narrow.mutable_data_ptr() : nullptr;
  update.size = part.value.numel();
  if (update.size == 0) return;
  C10_CUDA_CHECK(static_cast<cudaError_t>(cuda::launch_adamw(update, stream())));
}

at::Tensor sum_of_squares(const at::Tensor& values) {
  const at::Tensor partial = at::empty({cuda::kSquareBlocks}, values.options().dtype(at::kDouble));
  C10_CUDA_CHECK(static_cast<cudaError_t>(cuda::launch_squares(values.const_data_ptr<float>(), values.numel(),
                                                               partial.mutable_data_ptr<double>(), stream())));
  return partial.sum();
}

}  // namespace

const DeviceUpdate* cuda_update() {
  static constexpr DeviceUpdate kUpdate{.adamw = adamw, .sum_of_squares = sum_of_squares};
  return &kUpdate;
}

}  // namespace collimate::detail
