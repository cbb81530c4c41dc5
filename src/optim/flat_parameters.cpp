#include "collimate/optim/flat_parameters.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"

namespace collimate {

FlatParameters::FlatParameters(std::span<const at::Tensor> parameters)
    : parameters_(parameters.begin(), parameters.end()) {
  check(!parameters_.empty(), "a model has parameters");
  std::int64_t elements = 0;
  for (const at::Tensor& parameter : parameters_) {
    check(parameter.scalar_type() == parameters_.front().scalar_type(), "all parameters have one dtype");
    begins_.push_back(elements);
    elements += parameter.numel();
  }
  const auto options = parameters_.front().options().requires_grad(false);
  values_ = at::empty({elements}, options);
  gradients_ = at::zeros({elements}, options);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor value = part(values_, i);
    value.copy_(parameters_[i].detach());
    parameters_[i].set_data(value);
    parameters_[i].mutable_grad() = part(gradients_, i);
  }
}

at::Tensor FlatParameters::part(const at::Tensor& flat, std::size_t index) const {
  const at::Tensor& parameter = parameters_.at(index);
  return flat.narrow(0, begins_.at(index), parameter.numel()).view(parameter.sizes());
}

at::Tensor FlatParameters::run(const at::Tensor& flat, std::size_t first, std::size_t last) const {
  const std::int64_t begin = first < begins_.size() ? begins_[first] : values_.numel();
  const std::int64_t end = last < begins_.size() ? begins_[last] : values_.numel();
  return flat.narrow(0, begin, end - begin);
}

void FlatParameters::zero_gradients() { gradients_.zero_(); }

}  // namespace collimate
