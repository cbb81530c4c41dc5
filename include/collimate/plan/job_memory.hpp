#pragma once
// The memory of every rank of a training run, from its configuration, its model and the lengths of its pairs. Pure.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/job/config.hpp"
#include "collimate/plan/rank_memory.hpp"

namespace collimate {

/// What one rank takes at its worst moment.
struct RankMemory {
  int world_rank = 0;
  MemoryUse step;            ///< in a training step
  std::int64_t loading = 0;  ///< before the first step: while weights are loaded and the device's speed is measured

  std::int64_t copies = 0;  ///< while a checkpoint is written, at most; 0 where they are not in the device's memory

  [[nodiscard]] std::int64_t peak() const { return std::max(step.total() + copies, loading); }
  /// While no checkpoint is written.
  [[nodiscard]] std::int64_t peak_without_copies() const { return std::max(step.total(), loading); }
};

/// *Local.* Of one rank. `microbatches`: of a step, of whichever data rank. Throws InputError as pipeline_layout().
RankMemory rank_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape, int world_rank,
                       std::span<const StreamSize> microbatches);

/// *Local.* Of all ranks, in their order.
std::vector<RankMemory> job_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape,
                                   std::span<const StreamSize> microbatches);

/// Gives the microbatches that take most memory on a data rank in a step, for a configuration and a mesh.
using PackStep = std::function<std::vector<StreamSize>(const RunConfig& config, const MeshShape& shape)>;

/// A change of a configuration that fits, and what its largest rank takes.
struct FittingChange {
  std::string settings;  ///< "model.recompute: full, parallel.zero_stage: 2"
  std::int64_t bytes = 0;
};

/// *Local.* The change nearest to `config` with which every rank stays within `limit` bytes: first what only costs
/// time, alone and then together, then more ranks for each copy of the model, out of the same number of ranks. Nothing
/// where none of these does.
std::optional<FittingChange> nearest_fit(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape,
                                         const PackStep& pack, std::int64_t limit);

/// "12.3 GiB", "512.0 MiB".
std::string text_of_bytes(std::int64_t bytes);

/// "weights 1.0 GiB, head 3.0 MiB": what is not 0.
std::string text_of(const MemoryUse& use);

/// What a rank takes in a step, by kind, and besides.
std::string text_of(const RankMemory& memory);

/// How the weights of passes are held that no backward pass follows.
struct ForwardWeights {
  ComputeDtype dtype = ComputeDtype::kFloat32;
  bool offloaded = false;
};

/// *Local.* Of one rank, for scoring and evaluation; see forward_memory().
MemoryUse rank_forward_memory(const RunConfig& config, const ForwardWeights& weights, const ModelSpec& spec,
                              const MeshShape& shape, int world_rank, const StreamSize& largest);

}  // namespace collimate
