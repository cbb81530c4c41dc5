#pragma once
// Where a logical tensor lies on the tensor axis: which slice a rank holds, who else holds the same, and how the
// gradients that ranks compute become the parameter's. Pure: one rule for layers, optimizer, checkpoints and export.

#include <cstdint>
#include <vector>

#include "collimate/base/shard_range.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "collimate/model/spec.hpp"

namespace collimate {

/// A rank's place on the tensor axis.
struct TensorShard {
  int tp_rank = 0;
  int tp_size = 1;
  bool sequence_parallel = false;  ///< norms and residuals see this rank's rows of the stream only
};

/// The place of a rank of the mesh on its tensor axis.
TensorShard tensor_shard(const MeshShape& shape, const Coordinate& place, bool sequence_parallel);

/// Over which ranks the gradients of a parameter's copies are summed after the backward pass.
enum class GradientSum {
  kNone,        ///< The rank's own gradient is the parameter's.
  kTensor,      ///< All ranks of the tensor axis.
  kKvReplicas,  ///< The neighbours on the tensor axis that hold the same k/v head.
  kTied,        ///< The ranks that hold the embedding and the tied head, if they are not one.
};

/// One rank's part of a logical tensor.
struct Placement {
  int dim = -1;      ///< The dimension that is divided; -1: the rank holds the whole.
  ShardRange range;  ///< Of that dimension.
  GradientSum gradient_sum = GradientSum::kNone;
  bool is_primary = true;  ///< Of several equal copies the one that counts: in norms and in checkpoints.

  bool operator==(const Placement&) const = default;
};

/// The part of `tensor` on one rank of the tensor axis. Matrices of q, k, v, gate and up are divided by rows (heads,
/// neurons), those after them by columns, embedding and head by vocabulary; norms and the biases behind a sum are
/// whole. Where there are fewer k/v heads than ranks, neighbours hold the same head.
Placement place_tensor(const ModelSpec& spec, const LogicalTensor& tensor, const TensorShard& shard);

/// Shape of the part.
std::vector<std::int64_t> part_shape(const LogicalTensor& tensor, const Placement& placement);

/// Elements of the part.
std::int64_t num_part_elements(const LogicalTensor& tensor, const Placement& placement);

/// Ranks of the tensor axis that hold the same k/v head as another: 1 where there are heads enough.
int num_kv_replicas(const ModelSpec& spec, int tp_size);

/// Throws InputError that lists every degree of the tensor axis that the model does not allow, and which would fit.
void require_tensor_degree(const ModelSpec& spec, int tp_size);

}  // namespace collimate
