#pragma once
// What a GPU has of its own for the update: passes that would be several of libtorch's.

#include <cmath>

#include <ATen/core/Tensor.h>

#include "collimate/optim/adamw.hpp"
#include "cuda/launch.hpp"

namespace collimate::detail {

/// One part of the values, flat float32, with what belongs to it.
struct AdamWPart {
  at::Tensor value;
  at::Tensor gradient;
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
  at::Tensor narrow;  ///< bfloat16, takes the rounded values; undefined: none
};

/// What all elements of update number `count` share, without their places.
inline cuda::AdamWUpdate adamw_update(const OptimizerConfig& config, const AdamWStep& step, std::int64_t count) {
  const auto updates = static_cast<double>(count);
  const double beta1 = config.betas.at(0);
  const double beta2 = config.betas.at(1);
  return {.gradient_factor = static_cast<float>(step.gradient_factor),
          .decay = static_cast<float>(1.0 - step.learning_rate * config.weight_decay),
          .one_minus_beta1 = static_cast<float>(1.0 - beta1),
          .beta2 = static_cast<float>(beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - beta2),
          .step_size = static_cast<float>(step.learning_rate / (1.0 - std::pow(beta1, updates))),
          .inverse_root_of_bias2 = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, updates))),
          .epsilon = static_cast<float>(config.epsilon)};
}

struct DeviceUpdate {
  void (*adamw)(const AdamWPart& part, const OptimizerConfig& config, const AdamWStep& step, std::int64_t num_updates);
  /// float64 [] of float32 values.
  at::Tensor (*sum_of_squares)(const at::Tensor& values);
};

/// Null in a program that is built without CUDA.
const DeviceUpdate* cuda_update();

}  // namespace collimate::detail
