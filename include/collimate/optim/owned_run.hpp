#pragma once
// Which elements of its tensors a rank updates, and which of them it saves. Pure.

#include <cstddef>

#include "collimate/model/tensor_piece.hpp"
#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// Elements of one parameter.
struct OwnedRun {
  TensorPiece piece;        ///< of the logical tensor
  std::size_t bucket = 0;   ///< whose part of the rank they are in; without ZeRO there is one part, of all elements
  ShardRange in_part = {};  ///< where they lie in that part
};

/// A rank of the data axis.
struct DataRank {
  int zero_stage = 1;
  int dp_rank = 0;
};

/// What the rank updates of parameter number `index`, which is `placed`; without ZeRO all of it. Perhaps nothing.
OwnedRun owned_run(const ShardPlan& plan, std::size_t index, const PlacedTensor& placed, const DataRank& rank);

/// What it saves of that: over all ranks of a job each element once. Of equal copies the primary one saves; where all
/// data ranks update everything, each saves a share.
OwnedRun saved_run(const ShardPlan& plan, std::size_t index, const PlacedTensor& placed, const DataRank& rank);

}  // namespace collimate
