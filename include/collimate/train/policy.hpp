#pragma once
// The policy under training: this rank's shard, the flat buffer behind its parameters, their gradients, and the
// optimizer's moments.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collimate/base/memory_tape.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/optim/adamw.hpp"
#include "collimate/optim/flat_parameters.hpp"
#include "collimate/optim/grad_reducer.hpp"
#include "collimate/optim/master_weights.hpp"
#include "collimate/optim/owned_run.hpp"
#include "collimate/optim/parameter_gather.hpp"
#include "collimate/store/checkpoint.hpp"
#include "collimate/store/model_source.hpp"

namespace collimate {

struct PolicyOptions {
  int zero_stage = 1;                                ///< ParallelConfig::zero_stage
  std::optional<std::int64_t> bucket_elements = {};  ///< unset: bucket_elements_for
};

/// Owns everything that an optimizer step changes. As the shard's keeper it reduces gradients while backward passes
/// run, and lets forward passes begin while updated parameters still arrive.
class Policy {
 public:
  /// *Collective* over the job. The mesh must outlive the policy.
  Policy(ModelShard shard, const OptimizerConfig& config, const PolicyOptions& options, ProcessMesh& mesh);
  ~Policy();
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  [[nodiscard]] const ModelShard& shard() const noexcept { return shard_; }

  /// *Local.* Before the backward passes of a step.
  void begin_step(int num_microbatches) { reducer_.begin_step(num_microbatches); }
  /// *Collective* over the data axis, after the backward passes of a step: nothing is under way any more. Returns
  /// whether what this rank has added to the gradients is finite.
  [[nodiscard]] bool end_passes() { return reducer_.end_passes(); }
  /// *Collective* over the job, after that. The gradients are whole where this rank needs them; returns their norm, the
  /// same on every rank.
  double reduce_gradients();
  /// *Collective* over the data axis. Clips the reduced gradients, whose norm is given, and makes one update. The other
  /// ranks' parts of it may still be arriving.
  void update(double learning_rate, double norm, double max_norm);

  /// *Local.* Bytes of this rank's tensors between steps.
  [[nodiscard]] MemoryUse held_bytes() const;

  /// *Local.* What this rank saves: its pieces of weights ("model") and moments ("exp_avg", "exp_avg_sq"), which lie
  /// where they are used, at the same places all the time. Over all ranks each element is in one of them.
  [[nodiscard]] std::vector<SavedPiece> pieces() const;
  /// *Collective* over the data axis. Returns when the other ranks' updated parameters are here: the policy must not be
  /// destroyed before.
  void wait_for_parameters() { arriving_.wait(); }
  /// *Collective* over the job. Takes a checkpoint that was saved after `num_updates`: of moments and weights, in all
  /// of their digits, this rank asks for what it updates, and has the rest of the weights from the other ranks. Throws
  /// as load_pieces: then another checkpoint may be taken, which replaces everything.
  void restore(const Checkpoint& checkpoint, std::int64_t num_updates);
  /// *Local.* Takes this rank's part of initial weights, which the shard may have rounded, in all of their digits.
  void take_initial_weights(const ModelSource& source);

 private:
  class Keeper;

  [[nodiscard]] std::vector<at::Tensor> updated_parts(const at::Tensor& flat) const;
  [[nodiscard]] DataRank data_rank() const { return {.zero_stage = zero_stage_, .dp_rank = mesh_.data().rank()}; }
  void spread_masters();
  using VisitOwned =
      std::function<void(const LogicalTensor& tensor, const TensorPiece& piece, const at::Tensor& values)>;
  void for_each_owned(const std::vector<at::Tensor>& parts, const VisitOwned& visit) const;

  const ProcessMesh& mesh_;
  int zero_stage_;
  ModelShard shard_;
  std::vector<PlacedTensor> placed_;  // [parameters]
  FlatParameters parameters_;
  MasterWeights masters_;
  AdamW optimizer_;
  GradReducer reducer_;
  ParameterGather arriving_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace collimate
