#include "collimate/plan/rank_memory.hpp"

#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/optim/state_memory.hpp"
#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/lower.hpp"
#include "collimate/pipeline/schedule_memory.hpp"

namespace collimate {

namespace {

TensorShard tensor_shard(const MemoryInputs& inputs) {
  const int size = inputs.shape.tensor;
  return {.tp_rank = inputs.place.tp_rank,
          .tp_size = size,
          .sequence_parallel = inputs.parallel.sequence_parallel && size > 1};
}

// The stages of one rank, on the microbatches of one step.
class RankStages final : public StagePlay {
 public:
  RankStages(const MemoryInputs& inputs, const GradientFlow& flow, std::span<const StreamSize> microbatches)
      : flow_(flow), microbatches_(microbatches) {
    for (const StagePart& part : inputs.layout.stages_of(inputs.place.pp_rank)) {
      stages_.emplace_back(inputs.spec, part, tensor_shard(inputs), inputs.recompute, inputs.element_bytes);
    }
  }

  void compute(const Action& action, MemoryTape& tape) const override {
    const StreamSize& stream = stream_of(action.microbatch);
    if (stream.num_stream_tokens == 0) return;
    const StageMemory& stage = stage_of(action.stage);
    switch (action.kind) {
      case ActionKind::kForward:
        return stage.forward(tape, stream);
      case ActionKind::kBackward:
        stage.backward(tape, stream, [&] { begin_gradients(tape); });
        return end_gradients(tape);
      case ActionKind::kInputGradient:
        return stage.input_gradient(tape, stream);
      case ActionKind::kWeightGradient:
        begin_gradients(tape);
        stage.weight_gradients(tape, stream);
        return end_gradients(tape);
      default:
        throw InvariantError("a stage computes and sends nothing");
    }
  }

  [[nodiscard]] std::int64_t message_bytes(int microbatch) const override {
    const StreamSize& stream = stream_of(microbatch);
    return stream.num_stream_tokens == 0 ? 0 : stages_.front().message_bytes(stream);
  }

 private:
  [[nodiscard]] const StreamSize& stream_of(int microbatch) const {
    return microbatches_[static_cast<std::size_t>(microbatch)];
  }
  [[nodiscard]] const StageMemory& stage_of(int stage_index) const {
    for (const StageMemory& stage : stages_) {
      if (stage.part().stage_index == stage_index) return stage;
    }
    throw InvariantError("a rank plays its own stages");
  }

  // Buckets are on their way while weight gradients come.
  void begin_gradients(MemoryTape& tape) const {
    tape.hold(MemoryKind::kGradients, flow_.at_begin);
    tape.hold(MemoryKind::kCommunication, flow_.exchanged);
  }
  void end_gradients(MemoryTape& tape) const {
    tape.release(MemoryKind::kGradients, flow_.at_begin);
    tape.use(MemoryKind::kGradients, flow_.at_end);
    tape.release(MemoryKind::kCommunication, flow_.exchanged);
  }

  const GradientFlow& flow_;
  std::span<const StreamSize> microbatches_;
  std::vector<StageMemory> stages_;
};

}  // namespace

MemoryUse step_memory(const MemoryInputs& inputs, std::span<const StreamSize> microbatches) {
  const auto tensors = rank_tensors(inputs.spec, inputs.layout, inputs.place.pp_rank, tensor_shard(inputs));
  const ShardPlan plan(planned_parameters(tensors), inputs.shape.data, inputs.bucket_elements);
  const StateLayout layout{.zero_stage = inputs.parallel.zero_stage, .element_bytes = inputs.element_bytes};
  const GradientFlow flow = gradient_flow(plan, layout);
  MemoryTape tape;
  const MemoryUse states = state_bytes(plan, layout);
  for (const MemoryKind kind : {MemoryKind::kWeights, MemoryKind::kGradients, MemoryKind::kOptimizer}) {
    tape.hold(kind, states[kind]);
  }
  const Schedule schedule =
      add_messages(generate_schedule({.type = inputs.parallel.schedule,
                                      .num_ranks = inputs.parallel.pipeline,
                                      .virtual_stages = inputs.parallel.virtual_stages,
                                      .num_microbatches = static_cast<int>(microbatches.size())}));
  play_schedule(schedule, inputs.place.pp_rank, RankStages(inputs, flow, microbatches), tape);
  check(tape.live() == states, "what a step holds is let go of at its end");
  tape.use(MemoryKind::kOptimizer, flow.norm);
  return tape.peak();
}

}  // namespace collimate
