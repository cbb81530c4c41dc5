#pragma once
// One pass of microbatches through the model, wherever its parts are: stages under a schedule, and the log-prob head
// behind the last one. Training, evaluation and scoring differ in what they do with the log-probs.

#include <functional>
#include <map>
#include <span>

#include <ATen/core/Tensor.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/pipeline/executor.hpp"

namespace collimate {

/// Drives the stages of one rank. Not owned: shard and mesh must outlive it.
class ModelPass {
 public:
  /// Called on the ranks of the last stage with the log-probs of every response of a microbatch that is not empty. In
  /// training it gives the microbatch's share of the loss, a scalar that is differentiated; else nothing.
  using OnLogProbs = std::function<at::Tensor(std::size_t microbatch_index, const ResponseLogProbs& log_probs)>;

  ModelPass(const ModelShard& shard, const ProcessMesh& mesh, const ParallelConfig& config);

  /// *Collective* over the ranks of one copy of the model. Forward and backward; gradients add up in the parameters, or
  /// with the shard's keeper.
  void train(std::span<const MicroBatch> microbatches, const OnLogProbs& on_log_probs);
  /// *Collective* likewise. Forward alone.
  void evaluate(std::span<const MicroBatch> microbatches, const OnLogProbs& on_log_probs);

  /// Whether this rank speaks for its copy of the model: of all ranks that get the same log-probs just one.
  [[nodiscard]] bool is_speaker() const noexcept { return is_speaker_; }
  [[nodiscard]] const ModelShard& shard() const noexcept { return shard_; }
  void set_trace(TraceRecorder* trace) noexcept { executor_.set_trace(trace); }

 private:
  const Schedule& training_schedule(int num_microbatches);

  const ModelShard& shard_;
  ParallelConfig config_;
  bool is_speaker_;
  ScheduleExecutor executor_;
  std::map<int, Schedule> training_schedules_;  // by number of microbatches
};

}  // namespace collimate
