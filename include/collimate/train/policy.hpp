#pragma once
// The policy under training: this rank's shard, the flat buffers behind its parameters, and the optimizer's moments.

#include <cstdint>
#include <vector>

#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/optim/adamw.hpp"
#include "collimate/optim/flat_parameters.hpp"
#include "collimate/optim/gradient.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate {

/// Owns everything that an optimizer step changes.
class Policy {
 public:
  /// *Collective* over the job. The mesh must outlive the policy.
  Policy(ModelShard shard, const OptimizerConfig& config, ProcessMesh& mesh);

  [[nodiscard]] const ModelShard& shard() const noexcept { return shard_; }
  [[nodiscard]] FlatParameters& parameters() noexcept { return parameters_; }
  [[nodiscard]] const GradReducer& reducer() const noexcept { return reducer_; }

  /// *Local.* One update from the gradients as they stand.
  void update(double learning_rate);

  /// *Collective* over the job. Weights and moments by logical name, whole, on world rank 0; empty elsewhere.
  [[nodiscard]] std::vector<TensorGroup> gather_groups() const;
  /// *Local.* Takes this rank's part of the moments of a checkpoint that was saved after `num_updates`. The shard must
  /// have been built from it.
  void restore_moments(const Checkpoint& checkpoint, std::int64_t num_updates);

 private:
  [[nodiscard]] at::Tensor flat_group(const Checkpoint& checkpoint, const char* name) const;

  const ProcessMesh& mesh_;
  ModelShard shard_;
  FlatParameters parameters_;
  AdamW optimizer_;
  GradReducer reducer_;
};

}  // namespace collimate
