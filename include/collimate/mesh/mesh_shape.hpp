#pragma once
// The degrees of the mesh axes, and where a rank stands in it. Pure.

#include "collimate/mesh/config.hpp"

namespace collimate {

/// Degree of every axis; their product is the world size.
struct MeshShape {
  int data = 1;

  bool operator==(const MeshShape&) const = default;
};

/// A rank's place along every axis.
struct Coordinate {
  int dp_rank = 0;

  bool operator==(const Coordinate&) const = default;
};

/// The shape for `world_size` ranks; `parallel.data: auto` takes what the other axes leave. Throws InputError that says
/// which degree or rank count would fit.
MeshShape mesh_shape(const ParallelConfig& config, int world_size);

/// The place of `world_rank`; a bijection between ranks and places.
Coordinate coordinate_of(const MeshShape& shape, int world_rank);

}  // namespace collimate
