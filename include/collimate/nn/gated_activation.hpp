#pragma once
// The gate of the MLP.

#include <ATen/core/Tensor.h>

namespace collimate {

/// silu(gate) * up, elementwise, both [num_tokens, size] and contiguous. Differentiable; only gate and up are kept.
at::Tensor silu_multiply(const at::Tensor& gate, const at::Tensor& up);

}  // namespace collimate
