#include "collimate/store/reshard_plan.hpp"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Shape = std::vector<std::int64_t>;

// The elements of a piece, each by its place in the tensor: one index at a time.
std::vector<std::int64_t> elements_of(const Shape& shape, const TensorPiece& piece) {
  std::int64_t inner = 1;
  std::int64_t size = 1;
  for (std::size_t dim = 0; dim < shape.size(); ++dim) {
    size *= shape[dim];
    if (piece.dim >= 0 && dim > static_cast<std::size_t>(piece.dim)) inner *= shape[dim];
  }
  std::vector<std::int64_t> slice;
  for (std::int64_t element = 0; element < size; ++element) {
    const std::int64_t index = piece.dim < 0 ? 0 : element / inner % shape[static_cast<std::size_t>(piece.dim)];
    const bool is_in = piece.dim < 0 || (index >= piece.part.begin && index < piece.part.begin + piece.part.length);
    if (is_in) slice.push_back(element);
  }
  return {slice.begin() + piece.flat.begin, slice.begin() + piece.flat.begin + piece.flat.length};
}

// A tensor as `num_slices` of a dimension, each as `num_runs`.
std::vector<TensorPiece> divided(const Shape& shape, int dim, int num_slices, int num_runs) {
  std::vector<TensorPiece> pieces;
  for (int slice = 0; slice < num_slices; ++slice) {
    const ShardRange part =
        dim < 0 ? ShardRange{} : shard_range(shape[static_cast<std::size_t>(dim)], num_slices, slice);
    const TensorPiece whole = slice_piece(shape, dim, part);
    for (int run = 0; run < num_runs; ++run) {
      TensorPiece piece = whole;
      piece.flat = shard_range(whole.flat.length, num_runs, run);
      pieces.push_back(piece);
    }
  }
  return pieces;
}

struct Division {
  int dim;
  int num_slices;
  int num_runs;
};

const std::vector<Division> kDivisions{{-1, 1, 1}, {-1, 1, 3}, {-1, 1, 7}, {0, 2, 1}, {0, 3, 2},
                                       {0, 4, 5},  {1, 2, 1},  {1, 3, 2},  {1, 4, 3}, {1, 5, 7}};

TEST(ReshardPlanTest, any_division_becomes_any_other) {
  for (const Shape& shape : {Shape{6, 10}, Shape{12, 5}, Shape{3, 8}, Shape{4, 6, 5}}) {
    for (const Division& from : kDivisions) {
      const std::vector<TensorPiece> saved = divided(shape, from.dim, from.num_slices, from.num_runs);
      for (const Division& to : kDivisions) {
        for (const TensorPiece& wanted : divided(shape, to.dim, to.num_slices, to.num_runs)) {
          std::vector<std::int64_t> found(static_cast<std::size_t>(wanted.flat.length), -1);
          for (const PieceCopy& copy : reshard(shape, saved, wanted)) {
            const std::vector<std::int64_t> source = elements_of(shape, saved[copy.saved]);
            for (std::int64_t i = 0; i < copy.length; ++i) {
              EXPECT_EQ(found.at(static_cast<std::size_t>(copy.to + i)), -1) << "an element comes once";
              found.at(static_cast<std::size_t>(copy.to + i)) = source.at(static_cast<std::size_t>(copy.from + i));
            }
          }
          EXPECT_EQ(found, elements_of(shape, wanted));
        }
      }
    }
  }
}

TEST(ReshardPlanTest, equal_pieces_are_one_copy) {
  const Shape shape{4, 6};
  const TensorPiece columns = slice_piece(shape, 1, {.begin = 2, .length = 3});
  EXPECT_EQ(columns.flat, (ShardRange{0, 12}));
  const std::vector<TensorPiece> saved{whole_piece(shape)};
  EXPECT_THAT(reshard(shape, saved, whole_piece(shape)),
              ElementsAre(PieceCopy{.saved = 0, .from = 0, .to = 0, .length = 24}));
  EXPECT_THAT(reshard(shape, std::vector{columns}, columns),
              ElementsAre(PieceCopy{.saved = 0, .from = 0, .to = 0, .length = 12}));
  EXPECT_EQ(reshard(shape, saved, columns).size(), 4U) << "one for each row";
}

TEST(ReshardPlanTest, what_is_not_saved_is_not_found) {
  const Shape shape{4, 6};
  TensorPiece half = whole_piece(shape);
  half.flat.length = 12;
  EXPECT_THAT(reshard(shape, std::vector{half}, slice_piece(shape, 0, {.begin = 2, .length = 2})), IsEmpty());
  EXPECT_THAT(reshard(shape, std::vector{half}, whole_piece(shape)),
              ElementsAre(PieceCopy{.saved = 0, .from = 0, .to = 0, .length = 12}));
}

TEST(ReshardPlanTest, empty_tensors_and_pieces_are_nothing) {
  const Shape shape{0, 6};
  EXPECT_EQ(whole_piece(shape).flat.length, 0);
  EXPECT_THAT(reshard(shape, std::vector{whole_piece(shape)}, whole_piece(shape)), IsEmpty());
}

}  // namespace
}  // namespace collimate
