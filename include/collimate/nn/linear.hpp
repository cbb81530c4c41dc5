#pragma once
// Linear layers over one input. The projections that share an input (q, k, v; gate, up) are one autograd node: their
// input gradients are summed inside the products.

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/nn/linear_input.hpp"
#include "collimate/nn/weight_gradients.hpp"

namespace collimate {

struct LinearWeight {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined.
};

/// x W_i^T + b_i for each i. Differentiable. The results are nobody's saved tensors, so they may be changed in place.
/// `queue` takes the products of weight gradients where it can (WeightGradientQueue::takes_products); not owned, null
/// for none.
std::vector<at::Tensor> linear(const LinearInput& x, std::span<const LinearWeight> weights,
                               WeightGradientQueue* queue = nullptr);
at::Tensor linear(const LinearInput& x, const LinearWeight& weight, WeightGradientQueue* queue = nullptr);

}  // namespace collimate
