#pragma once
// What a rank of a training run holds in memory: the sum of what each module says of itself, along the schedule that
// the executor plays. Pure.

#include <span>

#include "collimate/base/memory_tape.hpp"
#include "collimate/mesh/config.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/rank_tensors.hpp"
#include "collimate/nn/stage_memory.hpp"

namespace collimate {

/// What decides the memory of one rank.
struct MemoryInputs {
  const ModelSpec& spec;
  const PipelineLayout& layout;
  const ParallelConfig& parallel;
  MeshShape shape;
  Coordinate place;
  Recompute recompute = Recompute::kNone;
  std::int64_t element_bytes = 4;                    ///< of parameters and activations
  std::optional<std::int64_t> bucket_elements = {};  ///< PolicyOptions::bucket_elements
  DeviceType device = DeviceType::kCpu;
  bool offloaded = false;  ///< of passes that no backward pass follows
};

/// The most weights that a rank holds at a time where they are offloaded (nn/offloaded_parameters.hpp): two layers, or
/// one and the embedding or the head. *Local.*
std::int64_t offloaded_weight_bytes(const MemoryInputs& inputs);

/// Bytes of tensors at the worst moment of passes that no backward pass follows, over streams that are at most as large
/// as `largest`: scoring and evaluation. *Local.*
MemoryUse forward_memory(const MemoryInputs& inputs, const StreamSize& largest);

/// Numbers that a checkpoint has for each parameter: the weight and both moments.
inline constexpr std::int64_t kNumSavedGroups = 3;

/// Bytes that a rank writes of a checkpoint. *Local.*
std::int64_t saved_bytes(const MemoryInputs& inputs);

/// Bytes of tensors at the worst moment of a training step, by kind. `microbatches`: those of the rank's data rank, the
/// empty ones, too. *Local.*
MemoryUse step_memory(const MemoryInputs& inputs, std::span<const StreamSize> microbatches);

}  // namespace collimate
