#include "collimate/optim/flat_parameters.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"

namespace collimate {

FlatParameters::FlatParameters(std::span<const at::Tensor> parameters, ShardPlan plan) : plan_(std::move(plan)) {
  check(!parameters.empty(), "a model has parameters");
  check(parameters.size() == plan_.num_parameters(), "a plan is made for these parameters");
  const auto options = parameters.front().options().requires_grad(false);
  values_ = at::zeros({plan_.flat_elements()}, options);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    check(parameters[i].scalar_type() == values_.scalar_type(), "all parameters have one dtype");
    check(parameters[i].numel() == plan_.parameter(i).length, "a plan has the parameters' sizes");
    at::Tensor value = view_of(values_, plan_.parameter(i)).view(parameters[i].sizes());
    value.copy_(parameters[i].detach());
    at::Tensor(parameters[i]).set_data(value);
  }
}

std::vector<at::Tensor> FlatParameters::shard(const at::Tensor& flat, int dp_rank) const {
  std::vector<at::Tensor> parts;
  for (const Bucket& bucket : plan_.buckets()) parts.push_back(view_of(flat, plan_.part(bucket, dp_rank)));
  return parts;
}

}  // namespace collimate
