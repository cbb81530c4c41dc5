#include "collimate/nn/weight_gradients.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "collimate/nn/product.hpp"

namespace collimate {

void WeightGradientQueue::add(const Product& product) const {
  const at::NoGradGuard no_grad;
  if (keeper_ != nullptr) {
    return keeper_->add_gradient(
        product.weight, [&](const at::Tensor& sum) { add_weight_gradient(sum, product.grad, product.x->value()); });
  }
  const at::Tensor gradient = weight_gradient(product.grad, product.x->value());
  at::Tensor& sum = product.weight.mutable_grad();
  if (sum.defined()) {
    sum.add_(gradient);
  } else {
    sum = gradient.contiguous();
  }
}

void WeightGradientQueue::take(const at::Tensor& weight, const at::Tensor& grad, std::shared_ptr<KeptInput> x) {
  const Product product{.weight = weight, .grad = grad, .x = std::move(x)};
  if (!is_deferring_) return add(product);
  left_[key_].push_back(product);
}

void WeightGradientQueue::run(Key key) {
  const auto found = left_.find(key);
  if (found == left_.end()) return;
  for (Product& product : found->second) {
    add(product);
    product = {};
  }
  left_.erase(found);
}

void WeightGradientQueue::clear() {
  left_.clear();
  stop_deferring();
}

}  // namespace collimate
