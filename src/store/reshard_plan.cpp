#include "collimate/store/reshard_plan.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// Elements that lie side by side both in the tensor and in the piece.
struct Run {
  std::int64_t in_tensor = 0;  ///< first element, by its place in row-major order
  std::int64_t in_piece = 0;
  std::int64_t length = 0;
};

std::int64_t product(std::span<const std::int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

// Ascending in both places.
std::vector<Run> runs_of(std::span<const std::int64_t> shape, const TensorPiece& piece) {
  if (piece.flat.length == 0) return {};
  if (piece.dim < 0) return {{.in_tensor = piece.flat.begin, .in_piece = 0, .length = piece.flat.length}};
  const auto dim = static_cast<std::size_t>(piece.dim);
  check(dim < shape.size(), "a slice is of a dimension that the tensor has");
  const std::int64_t inner = product(shape.subspan(dim + 1));
  const std::int64_t row = piece.part.length * inner;  // of the slice, within one index of the dims before
  const std::int64_t end = piece.flat.begin + piece.flat.length;
  std::vector<Run> runs;
  for (std::int64_t at = piece.flat.begin; at < end;) {
    const std::int64_t outer = at / row;
    const std::int64_t begin_in_row = at - outer * row;
    const std::int64_t length = std::min(end - at, row - begin_in_row);
    runs.push_back({.in_tensor = (outer * shape[dim] + piece.part.begin) * inner + begin_in_row,
                    .in_piece = at - piece.flat.begin,
                    .length = length});
    at += length;
  }
  return runs;
}

void add_common(std::size_t index, std::span<const Run> saved, std::span<const Run> wanted,
                std::vector<PieceCopy>& copies) {
  auto a = saved.begin();
  auto b = wanted.begin();
  while (a != saved.end() && b != wanted.end()) {
    const std::int64_t begin = std::max(a->in_tensor, b->in_tensor);
    const std::int64_t end = std::min(a->in_tensor + a->length, b->in_tensor + b->length);
    if (begin < end) {
      copies.push_back({.saved = index,
                        .from = a->in_piece + begin - a->in_tensor,
                        .to = b->in_piece + begin - b->in_tensor,
                        .length = end - begin});
    }
    if (a->in_tensor + a->length < b->in_tensor + b->length) {
      ++a;
    } else {
      ++b;
    }
  }
}

}  // namespace

std::vector<PieceCopy> reshard(std::span<const std::int64_t> shape, std::span<const TensorPiece> saved,
                               const TensorPiece& wanted) {
  const std::vector<Run> wanted_runs = runs_of(shape, wanted);
  const std::array same_slice{Run{wanted.flat.begin, 0, wanted.flat.length}};
  std::vector<PieceCopy> copies;
  for (std::size_t i = 0; i < saved.size(); ++i) {
    if (saved[i].dim == wanted.dim && saved[i].part == wanted.part) {
      add_common(i, std::array{Run{saved[i].flat.begin, 0, saved[i].flat.length}}, same_slice, copies);
    } else {
      add_common(i, runs_of(shape, saved[i]), wanted_runs, copies);
    }
  }
  return copies;
}

}  // namespace collimate
