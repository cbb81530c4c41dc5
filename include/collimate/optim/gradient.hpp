#pragma once
// What happens to reduced gradients before the update: norm and clip.

#include <ATen/core/Tensor.h>

namespace collimate {

/// 0 if every value is finite, else NaN; [], in the dtype and on the device of `values`. *Local.*
at::Tensor zero_if_finite(const at::Tensor& values);

/// Sum of squares, float64 [], on the device of `values`. *Local.*
at::Tensor sum_of_squares(const at::Tensor& values);

/// Scales parts of the gradients so that all of their norm is at most `max_norm` (0: leaves them alone), with the
/// factor max_norm / (norm + 1e-6) of torch.nn.utils.clip_grad_norm_.
void clip_gradients(at::TensorList parts, double norm, double max_norm);

}  // namespace collimate
