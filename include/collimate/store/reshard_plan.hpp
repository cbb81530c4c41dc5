#pragma once
// Which elements of saved pieces make up a wanted one, whatever the layouts of both: how a checkpoint of any layout is
// read at any other. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collimate/base/shard_range.hpp"

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

/// Elements [from, from + length) of a saved piece that are [to, to + length) of the wanted one.
struct PieceCopy {
  std::size_t saved = 0;
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t length = 0;
  bool operator==(const PieceCopy&) const = default;
};

/// *Local.* What of `saved`, pieces of a tensor of `shape`, goes where in `wanted`. Covers it if they do; where saved
/// pieces overlap, an element comes once from each.
std::vector<PieceCopy> reshard(std::span<const std::int64_t> shape, std::span<const TensorPiece> saved,
                               const TensorPiece& wanted);

}  // namespace collimate
