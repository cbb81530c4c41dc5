#pragma once
// What happens to reduced gradients before the update: norm and clip.

#include <ATen/core/Tensor.h>

namespace collimate {

/// 0 if every value is finite, else NaN; [], in the dtype and on the device of `values`. *Local.*
at::Tensor zero_if_finite(const at::Tensor& values);

/// Sum of squares, float64 [], on the device of `values`. *Local.*
at::Tensor sum_of_squares(const at::Tensor& values);

/// By which gradients of this norm are scaled, so that it is at most `max_norm` (0: they are left alone): 1, or
/// max_norm / (norm + 1e-6) as in torch.nn.utils.clip_grad_norm_. *Local.*
double clip_factor(double norm, double max_norm);

}  // namespace collimate
