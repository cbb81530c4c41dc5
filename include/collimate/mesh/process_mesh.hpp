#pragma once
// The groups a rank belongs to: one communicator an axis. Built once by the program and passed by reference.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/comm/group_factory.hpp"
#include "collimate/mesh/mesh_shape.hpp"

namespace collimate {

/// Owns one communicator for each axis, and one for the whole job.
class ProcessMesh {
 public:
  /// *Collective* over the job. `control` carries text and scalars among all ranks, `tensors` the tensors of every
  /// axis; they may be the same.
  ProcessMesh(GroupFactory& control, GroupFactory& tensors, const MeshShape& shape);

  [[nodiscard]] const MeshShape& shape() const noexcept { return shape_; }
  [[nodiscard]] const Coordinate& coordinate() const noexcept { return coordinate_; }
  [[nodiscard]] Communicator& world() const noexcept { return *world_; }
  [[nodiscard]] Communicator& data() const noexcept { return *data_; }
  [[nodiscard]] Communicator& pipeline() const noexcept { return *pipeline_; }
  [[nodiscard]] Communicator& tensor() const noexcept { return *tensor_; }
  /// The ranks that hold one copy of the model together.
  [[nodiscard]] Communicator& model() const noexcept { return *model_; }

  /// *Local.* Where the tensors lie that the groups carry, and so where a rank computes. `world` carries those of the
  /// CPU.
  [[nodiscard]] c10::Device device() const;

  /// *Collective* over the job. One more group like `world`, for another thread.
  [[nodiscard]] std::unique_ptr<Communicator> make_world_group() const { return control_->make_world_group(); }
  /// *Collective* over the job. One more group beside the axes, for what only some ranks share: `members` are world
  /// ranks, those of all callers dividing the job (see GroupFactory::make_group). Owned by the mesh.
  Communicator& add_group(const std::string& name, const std::vector<int>& members);

  /// Has every group, those that are added later among them, note what waits for other ranks; not owned, null for none.
  void set_activity(ActivityLog* activity) const;

  /// Calls `visit` with every group of the mesh, added ones included.
  void for_each_group(const std::function<void(Communicator&)>& visit) const;

 private:
  MeshShape shape_;
  Coordinate coordinate_;
  GroupFactory* control_;
  GroupFactory* tensors_;
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Communicator> data_;
  std::unique_ptr<Communicator> pipeline_;
  std::unique_ptr<Communicator> tensor_;
  std::unique_ptr<Communicator> model_;
  std::vector<std::unique_ptr<Communicator>> added_;
};

}  // namespace collimate
