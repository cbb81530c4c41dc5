#include "collimate/engine/model_pass.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/lower.hpp"

namespace collimate {

namespace {

// Stages and head of one rank, for the executor.
class ShardWork final : public StageWork {
 public:
  ShardWork(const ModelShard& shard, std::span<const MicroBatch> microbatches,
            const ModelPass::OnLogProbs& on_log_probs)
      : shard_(shard), microbatches_(microbatches), on_log_probs_(on_log_probs) {}

  at::Tensor forward(int stage_index, int microbatch_index, const at::Tensor& input) override {
    const Stage& stage = shard_.stage(stage_index);
    const auto index = static_cast<std::size_t>(microbatch_index);
    const MicroBatch& microbatch = microbatches_[index];
    at::Tensor output = stage.forward(microbatch, input);
    if (!stage.part().is_last()) return output;
    return on_log_probs_(index, response_log_probs(output, stage.head(), microbatch.rows, microbatch.num_responses));
  }

  [[nodiscard]] at::Tensor empty_input(int /*stage*/, int microbatch_index) const override {
    const TensorAxis& axis = shard_.layout().axis;
    const MicroBatch& microbatch = microbatches_[static_cast<std::size_t>(microbatch_index)];
    return at::empty({axis.residual_rows(microbatch.num_stream_tokens()), shard_.spec().hidden_size},
                     at::TensorOptions(shard_.options().device).dtype(shard_.options().dtype));
  }

  [[nodiscard]] bool is_empty(int microbatch_index) const override {
    return microbatches_[static_cast<std::size_t>(microbatch_index)].num_pairs() == 0;
  }
  void begin_gradients(int stage) override {
    if (shard_.keeper() != nullptr) shard_.keeper()->begin_gradients(stage);
  }
  void finish_gradients(int stage) override {
    if (shard_.keeper() != nullptr) shard_.keeper()->finish_gradients(stage);
  }

 private:
  const ModelShard& shard_;
  std::span<const MicroBatch> microbatches_;
  const ModelPass::OnLogProbs& on_log_probs_;
};

}  // namespace

ModelPass::ModelPass(const ModelShard& shard, const ProcessMesh& mesh, const ParallelConfig& config)
    : shard_(shard),
      config_(config),
      is_speaker_(mesh.coordinate().tp_rank == 0 && mesh.coordinate().pp_rank == shard.layout().pipeline.last_rank()),
      executor_(mesh.pipeline(), shard.queue()) {}

const Schedule& ModelPass::training_schedule(int num_microbatches) {
  const auto known = training_schedules_.find(num_microbatches);
  if (known != training_schedules_.end()) return known->second;
  const Schedule compute = generate_schedule({.type = config_.schedule,
                                              .num_ranks = config_.pipeline,
                                              .virtual_stages = config_.virtual_stages,
                                              .num_microbatches = num_microbatches});
  return training_schedules_.emplace(num_microbatches, add_messages(compute)).first->second;
}

void ModelPass::train(std::span<const MicroBatch> microbatches, const OnLogProbs& on_log_probs) {
  ShardWork work(shard_, microbatches, on_log_probs);
  executor_.run(training_schedule(static_cast<int>(microbatches.size())), work);
}

void ModelPass::evaluate(std::span<const MicroBatch> microbatches, const OnLogProbs& on_log_probs) {
  ShardWork work(shard_, microbatches, on_log_probs);
  const auto& rank_of_stage = shard_.layout().pipeline.rank_of_stage;
  executor_.run(add_messages(forward_schedule(rank_of_stage, static_cast<int>(microbatches.size()))), work);
}

}  // namespace collimate
