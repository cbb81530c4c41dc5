#pragma once
// How many bytes a training step sends, as a formula: docs/parallelism.md in code. Pure arithmetic; what the groups
// count must equal it exactly.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/rank_tensors.hpp"
#include "collimate/nn/stage_memory.hpp"
#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// What decides the traffic of one rank.
struct TrafficInputs {
  const ModelSpec& spec;
  const PipelineLayout& layout;
  MeshShape shape;
  Coordinate place;
  bool sequence_parallel = true;
  Recompute recompute = Recompute::kNone;
  std::int64_t element_bytes = 4;                    ///< of parameters and activations
  std::optional<std::int64_t> bucket_elements = {};  ///< PolicyOptions::bucket_elements
  int zero_stage = 1;
};

/// Bytes that the rank sends in one training step, by group name: "tensor", "pipeline", "data", "model", "kv_replicas",
/// "tied". Scalars on "world" are not among them. `microbatches`: all of the rank's copy of the model count, the empty
/// ones, too. *Local.*
std::map<std::string, std::int64_t> step_traffic(const TrafficInputs& inputs, std::span<const StreamSize> microbatches);

}  // namespace collimate
