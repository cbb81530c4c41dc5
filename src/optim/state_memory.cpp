#include "collimate/optim/state_memory.hpp"

#include <algorithm>

#include "collimate/comm/exchange.hpp"
#include "collimate/model/element_bytes.hpp"
#include "collimate/optim/reduction_limits.hpp"

namespace collimate {

namespace {

constexpr std::int64_t kFloat64Bytes = 8;

std::int64_t sum_bytes(const StateLayout& layout) { return sum_element_bytes(layout.element_bytes); }

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

std::int64_t norm_bytes(const ShardPlan& plan, const StateLayout& layout) {
  if (sum_bytes(layout) == kFloat64Bytes) return 0;
  std::int64_t largest_part = 0;
  for (const Bucket& bucket : plan.buckets()) largest_part = std::max(largest_part, plan.part_elements(bucket));
  return std::min(largest_part, kNormPieceElements) * kFloat64Bytes;
}

BucketPlay::BucketPlay(const ShardPlan& plan, const StateLayout& layout, MemoryTape& tape)
    : plan_(plan), layout_(layout), tape_(tape), is_allocated_(plan.buckets().size(), false) {
  for (const Bucket& bucket : plan.buckets()) {
    exchanged_ = std::max(exchanged_, exchange_bytes(bucket.flat.length, sum_bytes(layout), plan.num_ranks()));
  }
}

std::int64_t BucketPlay::bytes_of(std::size_t bucket) const {
  return plan_.buckets()[bucket].flat.length * sum_bytes(layout_);
}

std::vector<std::size_t> BucketPlay::buckets_of(int stage) const {
  std::vector<std::size_t> buckets = plan_.completion_order();
  std::erase_if(buckets, [&](std::size_t bucket) {
    const std::vector<int>& stages = plan_.buckets()[bucket].stages;
    return std::ranges::find(stages, stage) == stages.end();
  });
  return buckets;
}

void BucketPlay::begin(int stage) {
  due_ = buckets_of(stage);
  position_ = 0;
  num_missing_ = due_.empty() ? 0 : plan_.buckets()[due_.front()].flat.length;
  tape_.hold(MemoryKind::kCommunication, exchanged_);
}

void BucketPlay::take(std::int64_t elements) {
  while (position_ < due_.size() && elements > 0) {
    allocate(due_[position_]);
    const std::int64_t taken = std::min(elements, num_missing_);
    elements -= taken;
    num_missing_ -= taken;
    if (num_missing_ > 0) return;
    reduce(due_[position_++]);
    if (position_ < due_.size()) num_missing_ = plan_.buckets()[due_[position_]].flat.length;
  }
}

void BucketPlay::take_early(int stage) {
  const std::vector<std::size_t> buckets = buckets_of(stage);
  if (!buckets.empty()) allocate(buckets.front());
}

void BucketPlay::finish() {
  for (; position_ < due_.size(); ++position_) reduce(due_[position_]);
  tape_.release(MemoryKind::kCommunication, exchanged_);
}

void BucketPlay::end_passes() {
  while (!in_flight_.empty()) retire_first();
}

void BucketPlay::allocate(std::size_t bucket) {
  if (layout_.zero_stage < 2 || is_allocated_[bucket]) return;
  tape_.hold(MemoryKind::kGradients, bytes_of(bucket));
  is_allocated_[bucket] = true;
}

void BucketPlay::reduce(std::size_t bucket) {
  if (layout_.zero_stage < 2) return;
  if (in_flight_.size() == kMostReductionsInFlight) retire_first();
  allocate(bucket);
  is_allocated_[bucket] = false;  // the next microbatch's is another one
  in_flight_.push_back(bucket);
}

void BucketPlay::retire_first() {
  tape_.release(MemoryKind::kGradients, bytes_of(in_flight_.front()));
  in_flight_.pop_front();
}

}  // namespace collimate
