#include "collimate/optim/adamw.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

namespace collimate {

AdamW::AdamW(const OptimizerConfig& config, const at::Tensor& values)
    : config_(config), exp_avg_(at::zeros_like(values)), exp_avg_sq_(at::zeros_like(values)) {}

void AdamW::step(at::Tensor& values, const at::Tensor& gradients, double learning_rate) {
  // The kernel counts updates itself and wants the count after this one.
  ++num_updates_;
  const at::Tensor count = at::full({}, static_cast<double>(num_updates_), values.options().dtype(at::kFloat));
  at::_fused_adamw_({values}, {gradients}, {exp_avg_}, {exp_avg_sq_}, {}, {count}, learning_rate, config_.betas.at(0),
                    config_.betas.at(1), config_.weight_decay, config_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::restore(const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq, std::int64_t num_updates) {
  exp_avg_.copy_(exp_avg);
  exp_avg_sq_.copy_(exp_avg_sq);
  num_updates_ = num_updates;
}

}  // namespace collimate
