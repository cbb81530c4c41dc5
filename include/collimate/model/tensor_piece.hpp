#pragma once
// Parts of logical tensors as checkpoints know them. Pure.

#include <cstdint>
#include <span>

#include "collimate/base/shard_range.hpp"
#include "collimate/model/rank_tensors.hpp"

namespace collimate {

/// Some elements of a logical tensor: a run of a slice of it. A slice is what one rank of the tensor axis holds, a run
/// of it what one rank of the data axis looks after.
struct TensorPiece {
  int dim = -1;     ///< Of the slice: the dimension that is cut; -1: the whole tensor.
  ShardRange part;  ///< Of that dimension.
  ShardRange flat;  ///< Elements of the slice in row-major order.
  bool operator==(const TensorPiece&) const = default;
};

/// The piece that is all of a tensor.
TensorPiece whole_piece(std::span<const std::int64_t> shape);
/// All of a slice: `part` of dimension `dim`; of the whole tensor where that is -1.
TensorPiece slice_piece(std::span<const std::int64_t> shape, int dim, ShardRange part);
/// A rank's part of a tensor.
TensorPiece slice_of(const PlacedTensor& placed);

}  // namespace collimate
