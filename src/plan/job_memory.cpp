#include "collimate/plan/job_memory.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/config/dtype.hpp"
#include "collimate/model/cost.hpp"
#include "collimate/model/element_bytes.hpp"
#include "collimate/optim/shard_plan.hpp"
#include "collimate/plan/peak_probe.hpp"
#include "collimate/plan/pipeline_layout.hpp"
#include "collimate/store/load_plan.hpp"

namespace collimate {

namespace {

std::int64_t bytes_of(ComputeDtype dtype) {
  switch (dtype) {
    case ComputeDtype::kBFloat16:
      return 2;
    case ComputeDtype::kFloat32:
      return 4;
    case ComputeDtype::kFloat64:
      return 8;
  }
  throw InvariantError("every dtype has a size");
}

std::int64_t state_bytes(const MemoryUse& use) {
  return use[MemoryKind::kWeights] + use[MemoryKind::kGradients] + use[MemoryKind::kOptimizer];
}

std::int64_t largest_tensor(const ModelSpec& spec) {
  std::int64_t elements = 0;
  for (const LogicalTensor& tensor : logical_tensors(spec)) elements = std::max(elements, tensor.num_elements());
  return elements;
}

// Of a checkpoint that a run goes on from, what is on its way at a time.
std::int64_t round_bytes(const ModelSpec& spec, std::int64_t element_bytes) {
  return std::min(kMostRoundBytes, kNumSavedGroups * num_parameters(spec) * element_bytes);
}

}  // namespace

RankMemory rank_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape, int world_rank,
                       std::span<const StreamSize> microbatches) {
  const Coordinate place = coordinate_of(shape, world_rank);
  const PipelineLayout layout = pipeline_layout(config.parallel, spec);
  const std::int64_t element_bytes = bytes_of(config.model.dtype);
  const std::int64_t sum_bytes = sum_element_bytes(element_bytes);
  const MemoryInputs inputs{.spec = spec,
                            .layout = layout,
                            .parallel = config.parallel,
                            .shape = shape,
                            .place = place,
                            .recompute = config.model.recompute,
                            .element_bytes = element_bytes,
                            .device = config.runtime.device};
  RankMemory memory{.world_rank = world_rank, .step = step_memory(inputs, microbatches)};
  // Weights as they are loaded, then in one buffer, too; of narrow ones the wide values, one tensor at a time.
  const std::int64_t whole_tensor = largest_tensor(spec) * sum_bytes;
  const std::int64_t weights = memory.step[MemoryKind::kWeights];
  const std::int64_t states = state_bytes(memory.step);
  memory.loading = std::max({2 * weights, weights + whole_tensor, states + peak_probe_bytes(element_bytes)});
  if (element_bytes < sum_bytes) memory.loading = std::max(memory.loading, states + whole_tensor);
  memory.loading = std::max(memory.loading, states + round_bytes(spec, sum_bytes));
  const CheckpointConfig& saving = config.checkpoint;
  const bool copies_count = saving.asynchronous && config.runtime.device == DeviceType::kCpu;
  if (copies_count) memory.copies = std::min(saving.buffer_bytes, saved_bytes(inputs));
  return memory;
}

std::vector<RankMemory> job_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape,
                                   std::span<const StreamSize> microbatches) {
  std::vector<RankMemory> ranks;
  for (int rank = 0; rank < shape.num_ranks(); ++rank) {
    ranks.push_back(rank_memory(config, spec, shape, rank, microbatches));
  }
  return ranks;
}

std::string text_of_bytes(std::int64_t bytes) {
  constexpr double kMebi = 1024.0 * 1024.0;
  const double mebibytes = static_cast<double>(bytes) / kMebi;
  return mebibytes < 1024.0 ? fmt::format("{:.1f} MiB", mebibytes) : fmt::format("{:.1f} GiB", mebibytes / 1024.0);
}

MemoryUse rank_forward_memory(const RunConfig& config, const ForwardWeights& weights, const ModelSpec& spec,
                              const MeshShape& shape, int world_rank, const StreamSize& largest) {
  const PipelineLayout layout = pipeline_layout(config.parallel, spec);
  return forward_memory({.spec = spec,
                         .layout = layout,
                         .parallel = config.parallel,
                         .shape = shape,
                         .place = coordinate_of(shape, world_rank),
                         .element_bytes = bytes_of(weights.dtype),
                         .device = config.runtime.device,
                         .offloaded = weights.offloaded},
                        largest);
}

std::string text_of(const MemoryUse& use) {
  constexpr std::array<const char*, kNumMemoryKinds> kNames = {"weights",     "gradients", "optimizer",
                                                               "activations", "head",      "communication"};
  std::string parts;
  for (std::size_t kind = 0; kind < kNumMemoryKinds; ++kind) {
    if (use.bytes[kind] == 0) continue;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", kNames[kind], text_of_bytes(use.bytes[kind]));
  }
  return parts;
}

std::string text_of(const RankMemory& memory) {
  const std::string copies =
      memory.copies == 0 ? ""
                         : fmt::format(", up to {} more while a checkpoint is written", text_of_bytes(memory.copies));
  return fmt::format("{} in a step ({}), {} before it{}", text_of_bytes(memory.step.total()), text_of(memory.step),
                     text_of_bytes(memory.loading), copies);
}

}  // namespace collimate
