#pragma once
// What a rank holds of weights, gradients and optimizer state: all of it follows from the plan. Pure.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

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

/// Bytes of the float64 piece that a norm is taken of.
std::int64_t norm_bytes(const ShardPlan& plan, const StateLayout& layout);

/// What comes and goes with gradients, as GradReducer does it: at stage 2 whole buckets, from their first gradient
/// until they are reduced and another one is due; at every stage what a reduction receives. Not owned: plan and tape.
class BucketPlay {
 public:
  BucketPlay(const ShardPlan& plan, const StateLayout& layout, MemoryTape& tape);

  /// Gradients of a stage come, from the last parameter on.
  void begin(int stage);
  void take(std::int64_t elements);
  /// The first gradient of a stage comes in a pass that leaves others for later.
  void take_early(int stage);
  /// All of them were there.
  void finish();
  /// The step's passes are over.
  void end_passes();

 private:
  [[nodiscard]] std::vector<std::size_t> buckets_of(int stage) const;
  void allocate(std::size_t bucket);
  void reduce(std::size_t bucket);
  void retire_first();
  [[nodiscard]] std::int64_t bytes_of(std::size_t bucket) const;

  const ShardPlan& plan_;
  StateLayout layout_;
  MemoryTape& tape_;
  std::int64_t exchanged_ = 0;
  std::vector<std::size_t> due_;       // buckets of the stage, in the order in which they become whole
  std::size_t position_ = 0;           // in due_: the bucket that fills up
  std::int64_t num_missing_ = 0;       // elements of it
  std::vector<bool> is_allocated_;     // by bucket
  std::deque<std::size_t> in_flight_;  // buckets
};

}  // namespace collimate
