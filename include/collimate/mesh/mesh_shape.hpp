#pragma once
// The degrees of the mesh axes, and where a rank stands in it. Pure.

#include <vector>

#include "collimate/mesh/config.hpp"

namespace collimate {

/// Degree of every axis; their product is the world size.
struct MeshShape {
  int data = 1;
  int pipeline = 1;
  int tensor = 1;

  bool operator==(const MeshShape&) const = default;
  [[nodiscard]] int num_ranks() const { return data * pipeline * tensor; }
};

/// A rank's place along every axis.
struct Coordinate {
  int dp_rank = 0;
  int pp_rank = 0;
  int tp_rank = 0;

  bool operator==(const Coordinate&) const = default;
};

/// The axes of the mesh, and what is made of several of them: `kModel` is all ranks that hold one copy of the model,
/// pipeline and tensor axis together.
enum class MeshAxis { kData, kPipeline, kTensor, kModel };

/// The shape for `world_size` ranks; `parallel.data: auto` takes what the other axes leave. Throws InputError that says
/// which degree or rank count would fit.
MeshShape mesh_shape(const ParallelConfig& config, int world_size);

/// Ranks that the degrees come to, with one on a data axis that is left open: what a check or a plan is made for when
/// nobody says.
int default_num_ranks(const ParallelConfig& config);

/// The place of `world_rank`; a bijection between ranks and places. Tensor ranks are neighbours, since they talk most,
/// and the pipeline is outermost: world_rank = (pp_rank * data + dp_rank) * tensor + tp_rank.
Coordinate coordinate_of(const MeshShape& shape, int world_rank);
int world_rank_of(const MeshShape& shape, const Coordinate& place);

/// The world ranks that differ from `place` along `axis` alone, itself among them, in the order of the axis.
std::vector<int> ranks_along(const MeshShape& shape, const Coordinate& place, MeshAxis axis);

}  // namespace collimate
