#include "collimate/engine/step_traffic.hpp"

#include <algorithm>

#include "collimate/comm/comm_counts.hpp"

namespace collimate {

namespace {

constexpr std::int64_t kFloat64Bytes = 8;

// Elements of a rank's parameters by how their gradients are summed.
std::map<GradientSum, std::int64_t> elements_by_sum(const TrafficInputs& inputs) {
  const bool divides_rows = inputs.sequence_parallel && inputs.shape.tensor > 1;
  const TensorShard shard{
      .tp_rank = inputs.place.tp_rank, .tp_size = inputs.shape.tensor, .sequence_parallel = divides_rows};
  std::map<GradientSum, std::int64_t> elements;
  for (const PlacedTensor& placed : rank_tensors(inputs.spec, inputs.layout, inputs.place.pp_rank, shard)) {
    elements[placed.placement.gradient_sum] += num_part_elements(placed.tensor, placed.placement);
  }
  return elements;
}

// Tensor axis, one stage and microbatch, forward and backward. Every entry to the axis and every exit moves the whole
// stream once in one of the two passes (an all-reduce), or once in both (an all-gather in one, a reduce-scatter in the
// other) when rows are divided.
std::int64_t tensor_bytes(const TrafficInputs& inputs, const StagePart& stage, const MicroBatchSize& microbatch) {
  const int size = inputs.shape.tensor;
  if (size == 1) return 0;
  const std::int64_t num_passes = 4 * stage.layers.length + (stage.is_first() ? 1 : 0) + (stage.is_last() ? 1 : 0);
  const std::int64_t rows = (microbatch.num_stream_tokens + size - 1) / size;
  const std::int64_t part_bytes = rows * inputs.spec.hidden_size * inputs.element_bytes;
  const std::int64_t statistics = all_gather_bytes(2 * microbatch.num_labelled_rows * kFloat64Bytes, size);
  const std::int64_t head = stage.is_last() ? statistics : 0;
  if (inputs.sequence_parallel) {
    return num_passes * (all_gather_bytes(part_bytes, size) + reduce_scatter_bytes(part_bytes * size, size)) + head;
  }
  const std::int64_t elements = microbatch.num_stream_tokens * inputs.spec.hidden_size;
  return num_passes * all_reduce_bytes(elements, inputs.element_bytes, inputs.place.tp_rank, size) + head;
}

// Pipeline axis: a stage's output where the next stage is another rank's, the gradient of its input likewise.
std::int64_t pipeline_bytes(const TrafficInputs& inputs, const StagePart& stage, const MicroBatchSize& microbatch) {
  const auto holder = [&](int index) { return inputs.layout.rank_of_stage.at(static_cast<std::size_t>(index)); };
  const int size = inputs.sequence_parallel ? inputs.shape.tensor : 1;
  const std::int64_t rows = (microbatch.num_stream_tokens + size - 1) / size;
  const bool sends_output = !stage.is_last() && holder(stage.stage_index + 1) != inputs.place.pp_rank;
  const bool sends_gradient = !stage.is_first() && holder(stage.stage_index - 1) != inputs.place.pp_rank;
  const int num_messages = (sends_output ? 1 : 0) + (sends_gradient ? 1 : 0);
  return num_messages * rows * inputs.spec.hidden_size * inputs.element_bytes;
}

}  // namespace

std::map<std::string, std::int64_t> step_traffic(const TrafficInputs& inputs,
                                                 std::span<const MicroBatchSize> microbatches) {
  std::map<std::string, std::int64_t> bytes;
  for (const StagePart& stage : inputs.layout.stages_of(inputs.place.pp_rank)) {
    for (const MicroBatchSize& microbatch : microbatches) {
      bytes["tensor"] += tensor_bytes(inputs, stage, microbatch);
      bytes["pipeline"] += pipeline_bytes(inputs, stage, microbatch);
    }
  }
  std::map<GradientSum, std::int64_t> elements = elements_by_sum(inputs);
  const auto reduce = [&](std::int64_t count, std::int64_t element_bytes, int rank, int size) {
    return size == 1 ? 0 : all_reduce_bytes(count, element_bytes, rank, size);
  };
  const MeshShape& shape = inputs.shape;
  const Coordinate& place = inputs.place;
  const int replicas = num_kv_replicas(inputs.spec, shape.tensor);
  const bool is_first_holder = place.pp_rank == std::min(inputs.layout.first_rank(), inputs.layout.last_rank());
  bytes["tensor"] += reduce(elements[GradientSum::kTensor], inputs.element_bytes, place.tp_rank, shape.tensor);
  bytes["kv_replicas"] =
      reduce(elements[GradientSum::kKvReplicas], inputs.element_bytes, place.tp_rank % replicas, replicas);
  const std::int64_t tied = elements[GradientSum::kTied];
  bytes["tied"] = tied == 0 ? 0 : reduce(tied, inputs.element_bytes, is_first_holder ? 0 : 1, 2);
  std::int64_t all = 0;
  for (const auto& [sum, count] : elements) all += count;
  bytes["data"] = reduce(all, inputs.element_bytes, place.dp_rank, shape.data);
  bytes["model"] =
      reduce(1, kFloat64Bytes, place.pp_rank * shape.tensor + place.tp_rank, shape.pipeline * shape.tensor);
  return bytes;
}

}  // namespace collimate
