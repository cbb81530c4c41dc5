#include "collimate/mesh/mesh_shape.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

MeshShape mesh_shape(const ParallelConfig& config, int world_size) {
  const int data = config.data.value_or(world_size);
  if (data != world_size) {
    throw InputError(fmt::format("parallel.data: {} does not fit {} ranks: start {} ranks, or set parallel.data: auto",
                                 data, world_size, data));
  }
  return {.data = data};
}

Coordinate coordinate_of(const MeshShape& shape, int world_rank) {
  check(world_rank >= 0 && world_rank < shape.data, "a world rank lies inside the mesh");
  return {.dp_rank = world_rank};
}

}  // namespace collimate
