#pragma once
// Where a rank's gradients add up, and how they become sums over the data axis and over the copies of a parameter,
// while backward passes still run.

#include <deque>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/model/rank_tensors.hpp"
#include "collimate/optim/bucket_progress.hpp"
#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// What a reducer has to know of the parameters.
struct ReducedParameters {
  const ModelSpec& spec;
  const PipelineLayout& layout;
  std::vector<Placement> placements;  ///< of this rank's parameters, in their order (rank_tensors)
  at::TensorOptions gradients;        ///< how gradients add up: float32 or float64
};

/// Adds gradients up and reduces them, bucket by bucket. Below ZeRO stage 2 it keeps all of a rank's gradients and
/// reduces them once a step; at stage 2 it keeps the rank's shard, reduces for every microbatch, and lets go of the
/// rest. The loss is normalized over the global batch already, so a sum is right and nothing is divided.
///
/// All ranks of a data axis make the same calls in the same order but for take(): the order of reductions does not
/// depend on that. Nothing is communicated by a destructor.
class GradReducer {
 public:
  /// *Collective* over the job. Not owned: mesh and plan.
  GradReducer(ProcessMesh& mesh, const ShardPlan& plan, ReducedParameters parameters, int zero_stage);

  /// *Local.* As BucketProgress; begin_step forgets the gradients of the step before.
  void begin_step(int num_microbatches);
  void begin(int stage) { progress_.begin(stage); }
  /// *Local.* Calls `add` with the sum of a parameter's gradients, flat, to add one more.
  void take(std::size_t parameter, const std::function<void(const at::Tensor& sum)>& add);
  /// *Local.*
  void finish(int stage);

  /// *Collective* over the data axis, after the last pass of a step. Waits until nothing is under way any more; returns
  /// whether all gradients that this rank has added are finite.
  [[nodiscard]] bool end_passes();
  /// *Collective* over the job, after that. Makes shard() whole: every copy of a parameter has the same bits.
  void sum_copies();

  /// Bytes of gradients between steps.
  [[nodiscard]] std::int64_t held_bytes() const { return static_cast<std::int64_t>(memory_.nbytes()); }
  /// This rank's parts of the gradients, by bucket.
  [[nodiscard]] const std::vector<at::Tensor>& shard() const noexcept { return parts_; }
  /// *Collective* over the data axis. All gradients [ShardPlan::flat_elements()], from everyone's shard; below stage 2.
  [[nodiscard]] at::Tensor gather();
  /// *Collective* over the job. 2-norm of the reduced gradients, every parameter counted once, summed in float64; the
  /// same on every rank.
  [[nodiscard]] double global_norm() const;

 private:
  /// A reduction under way, and what it needs.
  struct InFlight {
    std::size_t bucket;
    at::Tensor whole;
    at::Tensor part;
    WorkHandle work;
  };

  [[nodiscard]] Communicator* copies_of(const Bucket& bucket) const;
  [[nodiscard]] at::Tensor& whole_of(std::size_t bucket);
  void reduce(const BucketProgress::Buckets& buckets);
  void retire_first();

  ProcessMesh& mesh_;
  const ShardPlan& plan_;
  std::vector<Placement> placements_;
  at::TensorOptions options_;
  bool is_sharded_;
  Communicator& kv_replicas_;
  Communicator& tied_;
  BucketProgress progress_;
  at::Tensor memory_;               // all gradients, or the shard of them
  std::vector<at::Tensor> wholes_;  // by bucket; sharded: only while gradients are coming
  std::vector<at::Tensor> parts_;   // by bucket
  std::deque<InFlight> in_flight_;
  at::Tensor zero_if_finite_;
};

}  // namespace collimate
