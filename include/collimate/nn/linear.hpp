#pragma once
// Linear layers over one input. The projections that share an input (q, k, v; gate, up) are one autograd node: their
// input gradients are summed inside the products.

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

namespace collimate {

struct LinearWeight {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined.
};

/// x W_i^T + b_i for each i; `x` is [num_tokens, in]. Differentiable. The results are nobody's saved tensors, so they
/// may be changed in place.
std::vector<at::Tensor> linear(const at::Tensor& x, std::span<const LinearWeight> weights);
at::Tensor linear(const at::Tensor& x, const LinearWeight& weight);

}  // namespace collimate
