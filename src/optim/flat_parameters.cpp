#include "collimate/optim/flat_parameters.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"

namespace collimate {

FlatParameters::FlatParameters(std::span<const at::Tensor> parameters, ShardPlan plan)
    : parameters_(parameters.begin(), parameters.end()), plan_(std::move(plan)) {
  check(!parameters_.empty(), "a model has parameters");
  check(parameters_.size() == plan_.num_parameters(), "a plan is made for these parameters");
  const auto options = parameters_.front().options().requires_grad(false);
  values_ = at::zeros({plan_.flat_elements()}, options);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    check(parameters_[i].scalar_type() == values_.scalar_type(), "all parameters have one dtype");
    check(parameters_[i].numel() == plan_.parameter(i).length, "a plan has the parameters' sizes");
    at::Tensor value = part(values_, i);
    value.copy_(parameters_[i].detach());
    parameters_[i].set_data(value);
  }
}

at::Tensor FlatParameters::part(const at::Tensor& flat, std::size_t index) const {
  return view_of(flat, plan_.parameter(index)).view(parameters_.at(index).sizes());
}

std::vector<at::Tensor> FlatParameters::shard(const at::Tensor& flat, int dp_rank) const {
  std::vector<at::Tensor> parts;
  for (const Bucket& bucket : plan_.buckets()) parts.push_back(view_of(flat, plan_.part(bucket, dp_rank)));
  return parts;
}

}  // namespace collimate
