#include "collimate/mesh/mesh_shape.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

TEST(MeshShapeTest, auto_takes_every_rank) {
  for (const int ranks : {1, 2, 7}) EXPECT_EQ(mesh_shape({}, ranks), MeshShape{.data = ranks});
}

TEST(MeshShapeTest, refuses_a_degree_that_does_not_fit_and_says_what_would) {
  try {
    mesh_shape({.data = 4}, 2);
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("parallel.data: 4 does not fit 2 ranks: start 4 ranks"));
  }
}

TEST(MeshShapeTest, every_rank_has_its_own_place) {
  for (int world_rank = 0; world_rank < 3; ++world_rank) {
    EXPECT_EQ(coordinate_of({.data = 3}, world_rank), Coordinate{.dp_rank = world_rank});
  }
  EXPECT_THROW(coordinate_of({.data = 3}, 3), InvariantError);
}

}  // namespace
}  // namespace collimate
