#pragma once
// The groups a rank belongs to: one communicator an axis. Built once by the program and passed by reference.

#include <memory>

#include "collimate/comm/communicator.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "collimate/mesh/mesh_shape.hpp"

namespace collimate {

/// Owns one communicator for each axis, and one for the whole job.
class ProcessMesh {
 public:
  /// *Collective* over the job. `environment` must outlive the mesh.
  ProcessMesh(const MpiEnvironment& environment, const MeshShape& shape);

  [[nodiscard]] const MeshShape& shape() const noexcept { return shape_; }
  [[nodiscard]] const Coordinate& coordinate() const noexcept { return coordinate_; }
  [[nodiscard]] Communicator& world() const noexcept { return *world_; }
  [[nodiscard]] Communicator& data() const noexcept { return *data_; }

 private:
  MeshShape shape_;
  Coordinate coordinate_;
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Communicator> data_;
};

}  // namespace collimate
