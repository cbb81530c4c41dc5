#pragma once
// When which bucket of gradients is reduced: as early as it is whole, and in an order that is the same on all ranks of
// the data axis, whatever the order in which a backward pass gives its gradients. Pure.

#include <cstddef>
#include <vector>

#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// Follows the backward passes of a step. Every function returns the buckets that are to be reduced now, in order.
class BucketProgress {
 public:
  using Buckets = std::vector<std::size_t>;

  /// `every_microbatch`: a bucket is reduced for each microbatch, else once a step. Not owned: the plan.
  BucketProgress(const ShardPlan& plan, bool every_microbatch);

  /// Of each stage, `num_microbatches` are to come. Throws InvariantError if the step before was not finished.
  void begin_step(int num_microbatches);
  /// A backward pass of a stage begins that leaves nothing of its microbatch for later: it gives each gradient once.
  void begin(int stage);
  /// A gradient of a parameter has been added.
  [[nodiscard]] Buckets take(std::size_t parameter);
  /// The gradients of a stage's parameters are whole for one more microbatch.
  [[nodiscard]] Buckets finish(int stage);
  /// Whether all microbatches of a step have come.
  [[nodiscard]] bool is_complete() const;

 private:
  [[nodiscard]] bool becomes_due(std::size_t bucket) const;

  const ShardPlan& plan_;
  bool every_microbatch_;
  std::vector<std::size_t> order_;
  int num_microbatches_ = 0;
  std::vector<int> num_finished_;         // by bucket: how often one of its stages was finished
  bool has_begun_ = false;                // a pass that gives each gradient once
  Buckets closing_;                       // will be reduced by the end of this pass, in order
  std::size_t num_reduced_ = 0;           // of those
  std::vector<std::size_t> num_missing_;  // by bucket: gradients that this pass has not given yet
};

}  // namespace collimate
