#include "collimate/optim/master_weights.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "collimate/base/error.hpp"

namespace collimate {

MasterWeights::MasterWeights(std::vector<at::Tensor> parts) : parameters_(std::move(parts)) {
  check(!parameters_.empty(), "there is something to update");
  const at::ScalarType dtype = parameters_.front().scalar_type();
  are_wider_ = dtype != at::kFloat && dtype != at::kDouble;
  for (const at::Tensor& part : parameters_) masters_.push_back(are_wider_ ? part.to(at::kFloat) : part);
}

void MasterWeights::write_back() const {
  if (!are_wider_) return;
  for (std::size_t i = 0; i < masters_.size(); ++i) parameters_[i].copy_(masters_[i]);
}

}  // namespace collimate
