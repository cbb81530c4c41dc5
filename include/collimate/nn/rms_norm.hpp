#pragma once
// RMSNorm (Zhang and Sennrich, 2019), alone or joined with the residual addition before it.

#include <utility>

#include <ATen/core/Tensor.h>

namespace collimate {

/// weight * x / sqrt(mean(x^2) + epsilon) over each run of weight.numel() consecutive elements, so that [tokens,
/// heads * head_dim] with a weight of [head_dim] is normalized by head. `x` is contiguous. Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// (x + delta, rms_norm(x + delta)) in one pass. Differentiable.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                                               double epsilon);

}  // namespace collimate
