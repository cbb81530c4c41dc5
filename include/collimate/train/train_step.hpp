#pragma once
// One optimizer step: forward and backward over this rank's microbatches, one reduction of scalars that also carries
// faults, stop requests and how far a checkpoint is, one of gradients, clip, update.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/forward.hpp"
#include "collimate/engine/job_stop.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/objective/objective.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/train/policy.hpp"
#include "collimate/train/work_gate.hpp"

namespace collimate {

/// What decides a step, the same on every rank.
struct StepOrder {
  std::int64_t step = 0;  // updates made before this one
  std::vector<std::uint64_t> pair_indices;
  std::vector<std::uint64_t> next_pair_indices;  // of the step after it, to be read while the device computes
  double learning_rate = 0;
  double max_grad_norm = 0;
  bool check_against_reference = false;  // the policy still has the reference's weights
};

/// What a step did, the same on every rank.
struct StepOutcome {
  MetricValues metrics;  // in the order of Objective::metrics()
  BatchTotals totals;    // what they are normalized by
  double grad_norm = 0;  // before the clip
  double forward_flops = 0;
  std::uint64_t num_stream_tokens = 0;
  StopKind stop = StopKind::kNone;  // what any rank asks for
  bool is_saving = false;           // any rank's part of the checkpoint under way
};

/// What a step works with. Not owned.
struct TrainStepParts {
  Policy& policy;
  ModelPass& pass;
  const BatchSource& source;
  const Objective& objective;
  const ReferenceStore* reference = nullptr;  // null where the objective needs none
  Communicator& world;
  CheckpointSaver* saver = nullptr;  // null where nothing is saved
  JobStop* stop = nullptr;           // null where nobody asks
  WorkGate* gate = nullptr;          // null where no step is given up
};

/// Runs steps. Faults are found on the ranks of the last stage, but the pass goes on to its end, since other ranks wait
/// for it: the step stops before the update.
class TrainStep {
 public:
  explicit TrainStep(const TrainStepParts& parts) : parts_(parts) {}

  /// *Collective* over the job. Throws AgreedError, before the update, when a loss or gradient is not finite or
  /// when log-probs differ from the reference's although the weights are the same; it names step, rank and pairs. Also
  /// when the checkpoint under way could not be written.
  StepOutcome run(const StepOrder& order);

 private:
  struct LocalResult {
    MetricValues metrics;
    double forward_flops = 0;
    std::string fault;  // empty: none
  };

  // This rank's part of a batch, with its tokens.
  struct Batch {
    std::vector<std::uint64_t> pair_indices;
    BatchPlan plan;
    std::vector<MicroBatch> microbatches;
  };

  [[nodiscard]] Batch read(const std::vector<std::uint64_t>& pair_indices) const;
  [[nodiscard]] Batch take_batch(const StepOrder& order);
  void read_ahead(const StepOrder& order);
  [[nodiscard]] LocalResult forward_backward(const StepOrder& order, const Batch& batch);
  at::Tensor share_of(const StepOrder& order, const BatchPlan& plan, const MicroBatch& microbatch,
                      const ResponseLogProbs& log_probs, LocalResult& result);
  [[nodiscard]] StopKind own_stop() const;
  StepOutcome agree(const StepOrder& order, const LocalResult& local);
  double reduce(const StepOrder& order);

  TrainStepParts parts_;
  std::optional<Batch> ahead_;
};

}  // namespace collimate
