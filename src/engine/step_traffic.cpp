#include "collimate/engine/step_traffic.hpp"

#include <algorithm>
#include <optional>

#include "collimate/base/shard_range.hpp"
#include "collimate/comm/comm_counts.hpp"
#include "collimate/model/element_bytes.hpp"

namespace collimate {

namespace {

constexpr std::int64_t kFloat64Bytes = 8;

ShardPlan plan_of(const TrafficInputs& inputs) {
  const TensorShard shard = tensor_shard(inputs.shape, inputs.place, inputs.sequence_parallel);
  const auto tensors = rank_tensors(inputs.spec, inputs.layout, inputs.place.pp_rank, shard);
  return {planned_parameters(tensors), inputs.shape.data, inputs.bucket_elements};
}

// Tensor axis, one stage and microbatch, forward and backward. Every entry to the axis and every exit moves the whole
// stream once in one of the two passes (an all-reduce), or once in both (an all-gather in one, a reduce-scatter in the
// other) when rows are divided. A layer that is computed again has its two entries and two exits of the forward pass
// again; where only the inputs of its products are, their rows are gathered again at the two entries.
std::int64_t tensor_bytes(const TrafficInputs& inputs, const StagePart& stage, const StreamSize& microbatch) {
  const int size = inputs.shape.tensor;
  if (size == 1) return 0;
  const std::int64_t per_layer = inputs.recompute == Recompute::kFull ? 6 : 4;
  const std::int64_t num_passes =
      per_layer * stage.layers.length + (stage.is_first() ? 1 : 0) + (stage.is_last() ? 1 : 0);
  const std::int64_t rows = divide_up(microbatch.num_stream_tokens, size);
  const std::int64_t part_bytes = rows * inputs.spec.hidden_size * inputs.element_bytes;
  const std::int64_t statistics = all_gather_bytes(2 * microbatch.num_labelled_rows * kFloat64Bytes, size);
  const std::int64_t head = stage.is_last() ? statistics : 0;
  if (inputs.sequence_parallel) {
    const std::int64_t again = inputs.recompute == Recompute::kSelective ? 2 * stage.layers.length : 0;
    return num_passes * (all_gather_bytes(part_bytes, size) + reduce_scatter_bytes(part_bytes * size, size)) +
           again * all_gather_bytes(part_bytes, size) + head;
  }
  const std::int64_t elements = microbatch.num_stream_tokens * inputs.spec.hidden_size;
  return num_passes * all_reduce_bytes(elements, inputs.element_bytes, inputs.place.tp_rank, size) + head;
}

// Pipeline axis: a stage's output where the next stage is another rank's, the gradient of its input likewise.
std::int64_t pipeline_bytes(const TrafficInputs& inputs, const StagePart& stage, const StreamSize& microbatch) {
  const auto holder = [&](int index) { return inputs.layout.rank_of_stage.at(static_cast<std::size_t>(index)); };
  const int size = inputs.sequence_parallel ? inputs.shape.tensor : 1;
  const std::int64_t rows = divide_up(microbatch.num_stream_tokens, size);
  const bool sends_output = !stage.is_last() && holder(stage.stage_index + 1) != inputs.place.pp_rank;
  const bool sends_gradient = !stage.is_first() && holder(stage.stage_index - 1) != inputs.place.pp_rank;
  const int num_messages = (sends_output ? 1 : 0) + (sends_gradient ? 1 : 0);
  return num_messages * rows * inputs.spec.hidden_size * inputs.element_bytes;
}

// Group, and the rank's place in it, over which the copies of a bucket's gradients are summed.
struct CopyGroup {
  const char* name;
  int rank;
  int size;
};

std::optional<CopyGroup> copies_of(GradientSum sum, const TrafficInputs& inputs) {
  const int replicas = num_kv_replicas(inputs.spec, inputs.shape.tensor);
  const bool is_first_holder = inputs.place.pp_rank == std::min(inputs.layout.first_rank(), inputs.layout.last_rank());
  switch (sum) {
    case GradientSum::kNone:
      return std::nullopt;
    case GradientSum::kTensor:
      return CopyGroup{"tensor", inputs.place.tp_rank, inputs.shape.tensor};
    case GradientSum::kKvReplicas:
      return CopyGroup{"kv_replicas", inputs.place.tp_rank % replicas, replicas};
    case GradientSum::kTied:
      return CopyGroup{"tied", is_first_holder ? 0 : 1, 2};
  }
  return std::nullopt;
}

// Every bucket is reduce-scattered over the data axis, in stage 2 for every microbatch, then the rank's part of it
// summed over its copies; gradients (without ZeRO) or updated parameters are gathered again.
void add_gradient_bytes(const TrafficInputs& inputs, std::int64_t num_microbatches,
                        std::map<std::string, std::int64_t>& bytes) {
  const int num_data_ranks = inputs.shape.data;
  const std::int64_t gradient_bytes = sum_element_bytes(inputs.element_bytes);
  const ShardPlan plan = plan_of(inputs);
  for (const Bucket& bucket : plan.buckets()) {
    const std::int64_t reduced_bytes = bucket.flat.length * gradient_bytes;
    const std::int64_t gathered_bytes =
        plan.part_elements(bucket) * (inputs.zero_stage == 0 ? gradient_bytes : inputs.element_bytes);
    const auto copies = copies_of(bucket.gradient_sum, inputs);
    if (copies && copies->size > 1) {
      bytes[copies->name] += all_reduce_bytes(plan.part_elements(bucket), gradient_bytes, copies->rank, copies->size);
    }
    const std::int64_t num_reductions = inputs.zero_stage == 2 ? num_microbatches : 1;
    bytes["data"] += num_reductions * reduce_scatter_bytes(reduced_bytes, num_data_ranks) +
                     all_gather_bytes(gathered_bytes, num_data_ranks);
  }
}

void add_norm_bytes(const TrafficInputs& inputs, std::map<std::string, std::int64_t>& bytes) {
  const MeshShape& shape = inputs.shape;
  const int model_rank = inputs.place.pp_rank * shape.tensor + inputs.place.tp_rank;
  const int model_size = shape.pipeline * shape.tensor;
  if (shape.data > 1) bytes["data"] += all_reduce_bytes(1, kFloat64Bytes, inputs.place.dp_rank, shape.data);
  if (model_size > 1) bytes["model"] += all_reduce_bytes(1, kFloat64Bytes, model_rank, model_size);
}

}  // namespace

std::map<std::string, std::int64_t> step_traffic(const TrafficInputs& inputs,
                                                 std::span<const StreamSize> microbatches) {
  std::map<std::string, std::int64_t> bytes;
  for (const char* group : {"tensor", "pipeline", "data", "model", "kv_replicas", "tied"}) bytes[group] = 0;
  for (const StagePart& stage : inputs.layout.stages_of(inputs.place.pp_rank)) {
    for (const StreamSize& microbatch : microbatches) {
      bytes["tensor"] += tensor_bytes(inputs, stage, microbatch);
      bytes["pipeline"] += pipeline_bytes(inputs, stage, microbatch);
    }
  }
  add_gradient_bytes(inputs, std::ssize(microbatches), bytes);
  add_norm_bytes(inputs, bytes);
  return bytes;
}

}  // namespace collimate
