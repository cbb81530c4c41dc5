#pragma once
// Which elements of saved pieces make up a wanted one, whatever the layouts of both: how a checkpoint of any layout is
// read at any other. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collimate/model/tensor_piece.hpp"

namespace collimate {

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
