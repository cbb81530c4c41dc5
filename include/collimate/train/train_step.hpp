#pragma once
// One optimizer step: forward and backward over this rank's microbatches, one reduction of scalars that also carries
// faults and stop requests, one of gradients, clip, update.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/forward.hpp"
#include "collimate/objective/objective.hpp"
#include "collimate/train/policy.hpp"

namespace collimate {

/// What decides a step, the same on every rank but `stop_requested`.
struct StepOrder {
  std::int64_t step = 0;  // updates made before this one
  std::vector<std::uint64_t> pair_indices;
  double learning_rate = 0;
  double max_grad_norm = 0;
  bool check_against_reference = false;  // the policy still has the reference's weights
  bool stop_requested = false;           // on this rank
};

/// What a step did, the same on every rank.
struct StepOutcome {
  MetricValues metrics;  // in the order of Objective::metric_names()
  double grad_norm = 0;  // before the clip
  double forward_flops = 0;
  std::uint64_t num_stream_tokens = 0;
  bool stop_requested = false;  // on any rank
};

/// Runs steps. Not owned: everything it is given must outlive it.
class TrainStep {
 public:
  /// `reference` may be null where the objective needs none.
  TrainStep(Policy& policy, const BatchSource& source, const Objective& objective, const ReferenceStore* reference,
            Communicator& data)
      : policy_(policy), source_(source), objective_(objective), reference_(reference), data_(data) {}

  /// *Collective* over the data axis. Throws AgreedError, before the update, when a loss or gradient is not finite or
  /// when log-probs differ from the reference's although the weights are the same; it names step, rank and pairs.
  StepOutcome run(const StepOrder& order);

 private:
  struct LocalResult {
    MetricValues metrics;
    double forward_flops = 0;
    std::string fault;  // empty: none
  };

  [[nodiscard]] LocalResult forward_backward(const StepOrder& order, const BatchPlan& plan);
  void add_microbatch(const StepOrder& order, const BatchPlan& plan, std::span<const std::uint64_t> pairs,
                      LocalResult& result);
  StepOutcome agree(const StepOrder& order, const LocalResult& local);
  double reduce_and_clip(const StepOrder& order);

  Policy& policy_;
  const BatchSource& source_;
  const Objective& objective_;
  const ReferenceStore* reference_;
  Communicator& data_;
};

}  // namespace collimate
