#include "collimate/model/tensor_piece.hpp"

#include <functional>
#include <numeric>

namespace collimate {

TensorPiece whole_piece(std::span<const std::int64_t> shape) { return slice_piece(shape, -1, {}); }

TensorPiece slice_piece(std::span<const std::int64_t> shape, int dim, ShardRange part) {
  const std::int64_t elements = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  TensorPiece piece{.dim = dim, .part = part, .flat = {.begin = 0, .length = elements}};
  if (dim < 0) return piece;
  const std::int64_t size = shape[static_cast<std::size_t>(dim)];
  piece.flat.length = size == 0 ? 0 : elements / size * part.length;
  return piece;
}

TensorPiece slice_of(const PlacedTensor& placed) {
  return slice_piece(placed.tensor.shape, placed.placement.dim, placed.placement.range);
}

}  // namespace collimate
