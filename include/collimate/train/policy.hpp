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

struct PolicyOptions {
  int zero_stage = 1;  ///< ParallelConfig::zero_stage
  std::int64_t bucket_elements = kBucketElements;
};

/// Owns everything that an optimizer step changes.
class Policy {
 public:
  /// *Collective* over the job. The mesh must outlive the policy.
  Policy(ModelShard shard, const OptimizerConfig& config, const PolicyOptions& options, ProcessMesh& mesh);

  [[nodiscard]] const ModelShard& shard() const noexcept { return shard_; }
  [[nodiscard]] FlatParameters& parameters() noexcept { return parameters_; }

  /// *Collective* over the job. Adds the gradients up where this rank will need them; returns their norm, the same on
  /// every rank.
  double reduce_gradients();
  /// *Collective* over the data axis. Clips the reduced gradients, whose norm is given, and makes one update.
  void update(double learning_rate, double norm, double max_norm);

  /// *Collective* over the job. Weights and moments by logical name, whole, on world rank 0; empty elsewhere.
  [[nodiscard]] std::vector<TensorGroup> gather_groups() const;
  /// *Local.* Takes this rank's part of the moments of a checkpoint that was saved after `num_updates`. The shard must
  /// have been built from it.
  void restore_moments(const Checkpoint& checkpoint, std::int64_t num_updates);

 private:
  [[nodiscard]] std::vector<at::Tensor> updated_parts(const at::Tensor& flat) const;
  [[nodiscard]] at::Tensor whole_moments(const at::Tensor& own) const;
  [[nodiscard]] at::Tensor own_moments(const Checkpoint& checkpoint, const char* name) const;

  const ProcessMesh& mesh_;
  int zero_stage_;
  ModelShard shard_;
  FlatParameters parameters_;
  AdamW optimizer_;
  GradReducer reducer_;
};

}  // namespace collimate
