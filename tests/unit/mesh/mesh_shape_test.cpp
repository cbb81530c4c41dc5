#include "collimate/mesh/mesh_shape.hpp"

#include <set>
#include <tuple>

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
  const MeshShape shape{.data = 3, .pipeline = 2, .tensor = 4};
  std::set<std::tuple<int, int, int>> places;
  for (int world_rank = 0; world_rank < shape.num_ranks(); ++world_rank) {
    const Coordinate place = coordinate_of(shape, world_rank);
    places.emplace(place.dp_rank, place.pp_rank, place.tp_rank);
    EXPECT_EQ(world_rank_of(shape, place), world_rank);
  }
  EXPECT_EQ(places.size(), 24U);
  EXPECT_THROW(coordinate_of(shape, 24), InvariantError);
}

TEST(MeshShapeTest, tensor_ranks_are_neighbours_and_the_pipeline_is_outermost) {
  const MeshShape shape{.data = 2, .pipeline = 2, .tensor = 2};
  const Coordinate place = coordinate_of(shape, 3);
  EXPECT_EQ(place, (Coordinate{.dp_rank = 1, .pp_rank = 0, .tp_rank = 1}));
  EXPECT_THAT(ranks_along(shape, place, MeshAxis::kTensor), testing::ElementsAre(2, 3));
  EXPECT_THAT(ranks_along(shape, place, MeshAxis::kData), testing::ElementsAre(1, 3));
  EXPECT_THAT(ranks_along(shape, place, MeshAxis::kPipeline), testing::ElementsAre(3, 7));
  EXPECT_THAT(ranks_along(shape, place, MeshAxis::kModel), testing::ElementsAre(2, 3, 6, 7));
}

TEST(MeshShapeTest, refuses_ranks_that_the_model_axes_do_not_divide) {
  EXPECT_EQ(mesh_shape({.pipeline = 2, .tensor = 2}, 8), (MeshShape{.data = 2, .pipeline = 2, .tensor = 2}));
  for (const int ranks : {3, 6}) {
    try {
      mesh_shape({.pipeline = 2, .tensor = 2}, ranks);
      FAIL() << "accepted";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("start a multiple of 4 ranks"));
    }
  }
}

}  // namespace
}  // namespace collimate
