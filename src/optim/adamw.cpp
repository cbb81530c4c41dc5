#include "collimate/optim/adamw.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"
#include "device_update.hpp"

namespace collimate {

namespace {

std::vector<std::int64_t> sizes_of(at::TensorList values) {
  std::vector<std::int64_t> sizes;
  for (const at::Tensor& value : values) sizes.push_back(value.numel());
  return sizes;
}

at::Tensor zeros_for(at::TensorList values) {
  check(!values.empty(), "an optimizer has something to update");
  std::int64_t elements = 0;
  for (const std::int64_t size : sizes_of(values)) elements += size;
  return at::zeros({elements}, values.front().options().requires_grad(false));
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, std::vector<at::Tensor> values)
    : config_(config),
      values_(std::move(values)),
      exp_avg_(zeros_for(values_)),
      exp_avg_sq_(zeros_for(values_)),
      exp_avg_parts_(exp_avg_.split_with_sizes(sizes_of(values_))),
      exp_avg_sq_parts_(exp_avg_sq_.split_with_sizes(sizes_of(values_))) {}

void AdamW::step(at::TensorList gradients, const AdamWStep& step, at::TensorList narrow) {
  check(narrow.empty() || narrow.size() == values_.size(), "all values have narrow ones, or none has");
  ++num_updates_;
  const detail::DeviceUpdate* const device = values_.front().is_cuda() ? detail::cuda_update() : nullptr;
  if (device == nullptr || values_.front().scalar_type() != at::kFloat)
    return step_by_libtorch(gradients, step, narrow);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    device->adamw({.value = values_[i],
                   .gradient = gradients[i],
                   .exp_avg = exp_avg_parts_[i],
                   .exp_avg_sq = exp_avg_sq_parts_[i],
                   .narrow = narrow.empty() ? at::Tensor() : narrow[i]},
                  config_, step, num_updates_);
  }
}

void AdamW::step_by_libtorch(at::TensorList gradients, const AdamWStep& step, at::TensorList narrow) {
  if (step.gradient_factor != 1.0) {
    for (const at::Tensor& gradient : gradients) gradient.mul_(step.gradient_factor);
  }
  // The kernel counts updates itself and wants the count after this one, once for each tensor.
  const at::Tensor count = at::full({}, static_cast<double>(num_updates_), exp_avg_.options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(values_.size(), count);
  at::_fused_adamw_(values_, gradients, exp_avg_parts_, exp_avg_sq_parts_, {}, counts, step.learning_rate,
                    config_.betas.at(0), config_.betas.at(1), config_.weight_decay, config_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
  for (std::size_t i = 0; i < narrow.size(); ++i) narrow[i].copy_(values_[i]);
}

}  // namespace collimate
