#pragma once
// What a rank holds of weights, gradients and optimizer state: all of it follows from the plan. Pure.

#include <cstdint>

#include "collimate/base/memory_tape.hpp"
#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// How a rank keeps them.
struct StateLayout {
  int zero_stage = 1;
  std::int64_t element_bytes = 4;  ///< of parameters; gradients and moments have 4 at least
};

/// Bytes from the first step to the last: parameters, gradients (at stage 2 the shard), moments and, of narrow
/// parameters, master weights.
MemoryUse state_bytes(const ShardPlan& plan, const StateLayout& layout);

/// Bytes that come and go with gradients.
struct GradientFlow {
  std::int64_t at_begin = 0;   ///< whole buckets at stage 2, in the first part of a backward pass
  std::int64_t at_end = 0;     ///< and in the last
  std::int64_t exchanged = 0;  ///< received and not yet added, while buckets are reduced
  std::int64_t norm = 0;       ///< a piece in float64
};
GradientFlow gradient_flow(const ShardPlan& plan, const StateLayout& layout);

}  // namespace collimate
