#include "collimate/mesh/mesh_shape.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

[[noreturn]] void refuse(const ParallelConfig& config, int world_size, int model_ranks) {
  const std::string degrees =
      fmt::format("parallel.pipeline: {} x parallel.tensor: {}", config.pipeline, config.tensor);
  if (!config.data) {
    throw InputError(fmt::format("{} does not fit {} ranks: start a multiple of {} ranks, or lower a degree", degrees,
                                 world_size, model_ranks));
  }
  throw InputError(fmt::format("parallel.data: {}{} does not fit {} ranks: start {} ranks, or set parallel.data: auto",
                               *config.data, model_ranks > 1 ? " x " + degrees : "", world_size,
                               *config.data * model_ranks));
}

}  // namespace

MeshShape mesh_shape(const ParallelConfig& config, int world_size) {
  const int model_ranks = config.pipeline * config.tensor;
  const int data = config.data.value_or(world_size / model_ranks);
  if (data < 1 || data * model_ranks != world_size) refuse(config, world_size, model_ranks);
  return {.data = data, .pipeline = config.pipeline, .tensor = config.tensor};
}

int default_num_ranks(const ParallelConfig& config) {
  return config.data.value_or(1) * config.pipeline * config.tensor;
}

Coordinate coordinate_of(const MeshShape& shape, int world_rank) {
  check(world_rank >= 0 && world_rank < shape.num_ranks(), "a world rank lies inside the mesh");
  return {.dp_rank = world_rank / shape.tensor % shape.data,
          .pp_rank = world_rank / (shape.tensor * shape.data),
          .tp_rank = world_rank % shape.tensor};
}

int world_rank_of(const MeshShape& shape, const Coordinate& place) {
  return (place.pp_rank * shape.data + place.dp_rank) * shape.tensor + place.tp_rank;
}

std::vector<int> ranks_along(const MeshShape& shape, const Coordinate& place, MeshAxis axis) {
  const bool along_data = axis == MeshAxis::kData;
  const bool along_pipeline = axis == MeshAxis::kPipeline || axis == MeshAxis::kModel;
  const bool along_tensor = axis == MeshAxis::kTensor || axis == MeshAxis::kModel;
  std::vector<int> ranks;
  for (int rank = 0; rank < shape.num_ranks(); ++rank) {
    const Coordinate other = coordinate_of(shape, rank);
    const bool same_elsewhere = (along_data || other.dp_rank == place.dp_rank) &&
                                (along_pipeline || other.pp_rank == place.pp_rank) &&
                                (along_tensor || other.tp_rank == place.tp_rank);
    if (same_elsewhere) ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace collimate
