#include "collimate/plan/rank_memory.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/model/element_bytes.hpp"
#include "collimate/optim/owned_run.hpp"
#include "collimate/optim/state_memory.hpp"
#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/lower.hpp"
#include "collimate/pipeline/schedule_memory.hpp"

namespace collimate {

namespace {

TensorShard tensor_shard(const MemoryInputs& inputs) {
  return tensor_shard(inputs.shape, inputs.place, inputs.parallel.sequence_parallel);
}

// The stages of one rank, on the microbatches of one step.
class RankStages final : public StagePlay {
 public:
  RankStages(const MemoryInputs& inputs, BucketPlay& buckets, std::span<const StreamSize> microbatches)
      : buckets_(buckets), microbatches_(microbatches) {
    for (const StagePart& part : inputs.layout.stages_of(inputs.place.pp_rank)) {
      stages_.emplace_back(inputs.spec, part, tensor_shard(inputs), inputs.recompute, inputs.element_bytes,
                           inputs.device);
    }
  }

  void compute(const Action& action, MemoryTape& tape) override {
    const StreamSize& stream = stream_of(action.microbatch);
    const StageMemory& stage = stage_of(action.stage);
    const bool is_empty = stream.num_stream_tokens == 0;
    const auto take = [&](std::int64_t elements) { buckets_.take(elements); };
    switch (action.kind) {
      case ActionKind::kForward:
        if (!is_empty) stage.forward(tape, stream);
        return;
      case ActionKind::kBackward:
        buckets_.begin(action.stage);
        if (!is_empty) stage.backward(tape, stream, take);
        return buckets_.finish();
      case ActionKind::kInputGradient:
        // What is not a product's gradient is taken here, before its buckets can be reduced.
        if (!is_empty) stage.input_gradient(tape, stream, [&](std::int64_t) { buckets_.take_early(action.stage); });
        return;
      case ActionKind::kWeightGradient:
        buckets_.begin(action.stage);
        if (!is_empty) stage.weight_gradients(tape, stream, take);
        return buckets_.finish();
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

  BucketPlay& buckets_;
  std::span<const StreamSize> microbatches_;
  std::vector<StageMemory> stages_;
};

}  // namespace

namespace {

std::vector<PlacedTensor> own_tensors(const MemoryInputs& inputs) {
  return rank_tensors(inputs.spec, inputs.layout, inputs.place.pp_rank, tensor_shard(inputs));
}

std::int64_t part_bytes(const PlacedTensor& placed, const MemoryInputs& inputs) {
  return num_part_elements(placed.tensor, placed.placement) * inputs.element_bytes;
}

}  // namespace

std::int64_t offloaded_weight_bytes(const MemoryInputs& inputs) {
  std::int64_t embedding = 0;
  std::int64_t head = 0;
  for (const PlacedTensor& placed : own_tensors(inputs)) {
    const std::string& name = placed.tensor.name;
    if (name == kEmbeddingName) embedding += part_bytes(placed, inputs);
    if (name == kFinalNormName || name == head_tensor(inputs.spec).name) head += part_bytes(placed, inputs);
  }
  std::int64_t layer = 0;
  for (const LogicalTensor& tensor : layer_tensors(inputs.spec, 0)) {
    const Placement placement = place_tensor(inputs.spec, tensor, tensor_shard(inputs));
    layer += part_bytes({.tensor = tensor, .placement = placement}, inputs);
  }
  return layer + std::max({layer, embedding, head});
}

MemoryUse forward_memory(const MemoryInputs& inputs, const StreamSize& largest) {
  const TensorShard shard = tensor_shard(inputs);
  MemoryTape tape;
  if (inputs.offloaded) {
    tape.hold(MemoryKind::kWeights, offloaded_weight_bytes(inputs));
  } else {
    for (const PlacedTensor& placed : own_tensors(inputs)) {
      tape.hold(MemoryKind::kWeights, part_bytes(placed, inputs));
    }
  }
  const MemoryUse weights = tape.live();
  for (const StagePart& part : inputs.layout.stages_of(inputs.place.pp_rank)) {
    const StageMemory stage(inputs.spec, part, shard, Recompute::kNone, inputs.element_bytes, inputs.device);
    // The input, the next one that comes in, and an output that may still be going out.
    const int num_messages = (part.is_first() ? 0 : 2) + (part.is_last() ? 0 : 1);
    tape.hold(MemoryKind::kCommunication, num_messages * stage.message_bytes(largest));
    stage.forward_only(tape, largest);
    tape.release(MemoryKind::kCommunication, num_messages * stage.message_bytes(largest));
  }
  check(tape.live() == weights, "what a pass holds is let go of at its end");
  return tape.peak();
}

std::int64_t saved_bytes(const MemoryInputs& inputs) {
  const std::vector<PlacedTensor> tensors = own_tensors(inputs);
  const ShardPlan plan(planned_parameters(tensors), inputs.shape.data, inputs.bucket_elements);
  const DataRank rank{.zero_stage = inputs.parallel.zero_stage, .dp_rank = inputs.place.dp_rank};
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) elements += saved_run(plan, i, tensors[i], rank).in_part.length;
  return kNumSavedGroups * elements * sum_element_bytes(inputs.element_bytes);
}

MemoryUse step_memory(const MemoryInputs& inputs, std::span<const StreamSize> microbatches) {
  const ShardPlan plan(planned_parameters(own_tensors(inputs)), inputs.shape.data, inputs.bucket_elements);
  const StateLayout layout{.zero_stage = inputs.parallel.zero_stage, .element_bytes = inputs.element_bytes};
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
  BucketPlay buckets(plan, layout, tape);
  RankStages stages(inputs, buckets, microbatches);
  play_schedule(schedule, inputs.place.pp_rank, stages, tape);
  buckets.end_passes();
  check(tape.live() == states, "what a step holds is let go of at its end");
  tape.use(MemoryKind::kOptimizer, norm_bytes(plan, layout));
  return tape.peak();
}

}  // namespace collimate
