#include "collimate/nn/weight_gradients.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "collimate/nn/product.hpp"

namespace collimate {

namespace {

void accumulate(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  at::Tensor& sum = weight.mutable_grad();
  if (sum.defined()) {
    sum.add_(weight_gradient(grad, x));
  } else {
    sum = weight_gradient(grad, x).contiguous();
  }
}

}  // namespace

void WeightGradientQueue::leave(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& x) {
  left_[key_].push_back({.weight = weight, .grad = grad, .x = x});
}

void WeightGradientQueue::run(Key key) {
  const auto found = left_.find(key);
  if (found == left_.end()) return;
  for (Product& product : found->second) {
    accumulate(product.weight, product.grad, product.x);
    product = {};
  }
  left_.erase(found);
}

void WeightGradientQueue::clear() {
  left_.clear();
  stop_deferring();
}

}  // namespace collimate
