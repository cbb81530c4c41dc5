#pragma once
// What happens to gradients between the backward pass and the update: sums over the copies of a parameter and over the
// data axis, norm, clip.

#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/model/rank_tensors.hpp"
#include "collimate/optim/flat_parameters.hpp"

namespace collimate {

/// Adds up the gradients that ranks have of the same parameter.
class GradReducer {
 public:
  /// *Collective* over the job. `placements`: of this rank's parameters, in their order (rank_tensors). The mesh must
  /// outlive the reducer.
  GradReducer(ProcessMesh& mesh, const ModelSpec& spec, const PipelineLayout& layout,
              std::vector<Placement> placements);

  /// *Collective* over the job. Afterwards this rank's shard of the gradients is whole; every copy of a parameter has
  /// the same bits. What is outside the shard is used up. Sums are in the gradients' own precision (float32 or
  /// float64). The loss is normalized over the global batch already, so a sum is right and nothing is divided.
  void reduce(FlatParameters& parameters) const;

  /// *Collective* over the job. 2-norm of the reduced gradients, from each rank's shard, every parameter counted once,
  /// summed in float64; the same on every rank.
  [[nodiscard]] double global_norm(const FlatParameters& parameters) const;

  /// *Collective* over the data axis. Puts the ranks' shards of a flat tensor together, on every rank.
  void gather(const FlatParameters& parameters, const at::Tensor& flat) const;

 private:
  [[nodiscard]] Communicator* group_of(GradientSum sum) const;

  const ProcessMesh& mesh_;
  std::vector<Placement> placements_;
  Communicator& kv_replicas_;
  Communicator& tied_;
};

/// Whether no value is infinite or NaN. *Local.*
bool is_finite(const at::Tensor& gradients);

/// Sum of squares, float64 [], on the device of `values`. *Local.*
at::Tensor sum_of_squares(const at::Tensor& values);

/// Scales parts of the gradients so that all of their norm is at most `max_norm` (0: leaves them alone), with the
/// factor max_norm / (norm + 1e-6) of torch.nn.utils.clip_grad_norm_.
void clip_gradients(at::TensorList parts, double norm, double max_norm);

}  // namespace collimate
