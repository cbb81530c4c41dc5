#pragma once
// All parameters of a rank in one buffer, divided over the data axis by a plan.

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// Moves parameters into one contiguous buffer. They stay usable where they are: only their storage changes.
class FlatParameters {
 public:
  /// `parameters`: leaves of one dtype that require gradients, with the sizes of the plan. Their values are copied.
  FlatParameters(std::span<const at::Tensor> parameters, ShardPlan plan);

  [[nodiscard]] const ShardPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] at::Tensor& values() noexcept { return values_; }
  [[nodiscard]] const at::Tensor& values() const noexcept { return values_; }
  /// A rank's part of each bucket of a flat tensor. Views.
  [[nodiscard]] std::vector<at::Tensor> shard(const at::Tensor& flat, int dp_rank) const;

 private:
  ShardPlan plan_;
  at::Tensor values_;
};

/// The elements `range` of a flat tensor. A view.
inline at::Tensor view_of(const at::Tensor& flat, ShardRange range) {
  return flat.narrow(0, range.begin, range.length);
}

}  // namespace collimate
