#include "collimate/optim/state_memory.hpp"

#include <algorithm>
#include <vector>

#include "collimate/comm/exchange.hpp"
#include "collimate/optim/reduction_limits.hpp"

namespace collimate {

namespace {

std::int64_t sum_bytes(const StateLayout& layout) { return std::max<std::int64_t>(4, layout.element_bytes); }

// Buckets under way, and the one that fills up behind them.
std::int64_t bucket_elements(const ShardPlan& plan, const std::vector<std::size_t>& order, std::size_t first) {
  const std::size_t end = std::min(order.size(), first + kMostReductionsInFlight + 1);
  std::int64_t elements = 0;
  for (std::size_t i = first; i < end; ++i) elements += plan.buckets()[order[i]].flat.length;
  return elements;
}

}  // namespace

MemoryUse state_bytes(const ShardPlan& plan, const StateLayout& layout) {
  const std::int64_t updated = layout.zero_stage == 0 ? plan.flat_elements() : plan.shard_elements();
  const std::int64_t summed = layout.zero_stage == 2 ? plan.shard_elements() : plan.flat_elements();
  const std::int64_t sum = sum_bytes(layout);
  const std::int64_t masters = layout.element_bytes < sum ? updated * sum : 0;
  MemoryUse use;
  use[MemoryKind::kWeights] = plan.flat_elements() * layout.element_bytes;
  use[MemoryKind::kGradients] = summed * sum;
  use[MemoryKind::kOptimizer] = 2 * updated * sum + masters;
  return use;
}

GradientFlow gradient_flow(const ShardPlan& plan, const StateLayout& layout) {
  GradientFlow flow;
  const std::int64_t sum = sum_bytes(layout);
  const std::vector<std::size_t> order = plan.completion_order();
  if (layout.zero_stage == 2) {
    const std::size_t last = order.size() - std::min(order.size(), kMostReductionsInFlight + 1);
    flow.at_begin = bucket_elements(plan, order, 0) * sum;
    flow.at_end = bucket_elements(plan, order, last) * sum;
  }
  std::int64_t largest_part = 0;
  for (const Bucket& bucket : plan.buckets()) {
    flow.exchanged = std::max(flow.exchanged, exchange_bytes(bucket.flat.length, sum, plan.num_ranks()));
    largest_part = std::max(largest_part, plan.part_elements(bucket));
  }
  constexpr std::int64_t kFloat64Bytes = 8;
  flow.norm = sum == kFloat64Bytes ? 0 : std::min(largest_part, kNormPieceElements) * kFloat64Bytes;
  return flow;
}

}  // namespace collimate
