#include "collimate/optim/adamw.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"

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

void AdamW::step(at::TensorList gradients, double learning_rate) {
  // The kernel counts updates itself and wants the count after this one, once for each tensor.
  ++num_updates_;
  const at::Tensor count = at::full({}, static_cast<double>(num_updates_), exp_avg_.options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(values_.size(), count);
  at::_fused_adamw_(values_, gradients, exp_avg_parts_, exp_avg_sq_parts_, {}, counts, learning_rate,
                    config_.betas.at(0), config_.betas.at(1), config_.weight_decay, config_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace collimate
