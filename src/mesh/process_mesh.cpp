#include "collimate/mesh/process_mesh.hpp"

namespace collimate {

ProcessMesh::ProcessMesh(const MpiEnvironment& environment, const MeshShape& shape)
    : shape_(shape),
      coordinate_(coordinate_of(shape, environment.world_rank())),
      world_(environment.make_group("world")),
      data_(environment.make_group("data")) {}

}  // namespace collimate
