#pragma once
// The tensor axis as layers see it: what happens to a stream where it enters and leaves a pair of divided matrices
// (Shoeybi et al., "Megatron-LM", arXiv 1909.08053; with divided rows: Korthikanti et al., arXiv 2205.05198).

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/model/placement.hpp"

namespace collimate {

/// The ranks that hold a part of each matrix. Without a group, or in a group of one, everything here is the identity.
/// With sequence parallelism the residual stream is divided by rows: a rank holds rows_of_rank(...) of it.
struct TensorAxis {
  Communicator* group = nullptr;  ///< Not owned.
  bool sequence_parallel = false;

  [[nodiscard]] int rank() const { return group == nullptr ? 0 : group->rank(); }
  [[nodiscard]] int size() const { return group == nullptr ? 1 : group->size(); }
  [[nodiscard]] bool divides_rows() const { return sequence_parallel && size() > 1; }
  [[nodiscard]] TensorShard shard() const {
    return {.tp_rank = rank(), .tp_size = size(), .sequence_parallel = divides_rows()};
  }
  /// Rows of a stream of `num_tokens`, padded so that every rank has as many.
  [[nodiscard]] std::int64_t padded_rows(std::int64_t num_tokens) const;
  /// Rows of the residual stream that a rank holds.
  [[nodiscard]] std::int64_t residual_rows(std::int64_t num_tokens) const;
};

/// *Collective* over the axis. From the residual stream [residual rows, size] to what a column-parallel product takes
/// [padded rows, size]: the identity, or an all-gather of rows. Backward: the sum of the ranks' gradients, or the
/// reduce-scatter of them. Differentiable.
at::Tensor enter_tensor_axis(const at::Tensor& residual, const TensorAxis& axis);

/// *Collective* over the axis. From a row-parallel product's partial sums [padded rows, size] to the residual stream
/// [residual rows, size]: an all-reduce, or a reduce-scatter of rows. Backward: the identity, or an all-gather.
/// Differentiable.
at::Tensor leave_tensor_axis(const at::Tensor& partial, const TensorAxis& axis);

}  // namespace collimate
