#include "collimate/optim/master_weights.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

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

at::Tensor MasterWeights::flat() const { return at::cat(masters_); }

void MasterWeights::restore(const at::Tensor& flat) {
  std::int64_t begin = 0;
  for (const at::Tensor& part : masters_) {
    part.copy_(flat.narrow(0, begin, part.numel()));
    begin += part.numel();
  }
  check(begin == flat.numel(), "master weights have the elements of their parts");
  write_back();
}

}  // namespace collimate
