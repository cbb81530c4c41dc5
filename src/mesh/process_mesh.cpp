#include "collimate/mesh/process_mesh.hpp"

#include <c10/core/Device.h>

namespace collimate {

ProcessMesh::ProcessMesh(GroupFactory& control, GroupFactory& tensors, const MeshShape& shape)
    : shape_(shape), coordinate_(coordinate_of(shape, control.world_rank())), control_(&control), tensors_(&tensors) {
  const auto group = [&](const char* name, MeshAxis axis) {
    return tensors.make_group(name, ranks_along(shape_, coordinate_, axis));
  };
  world_ = control.make_world_group();
  data_ = group("data", MeshAxis::kData);
  pipeline_ = group("pipeline", MeshAxis::kPipeline);
  tensor_ = group("tensor", MeshAxis::kTensor);
  model_ = group("model", MeshAxis::kModel);
}

c10::Device ProcessMesh::device() const { return tensors_->device(); }

Communicator& ProcessMesh::add_group(const std::string& name, const std::vector<int>& members) {
  const auto& added = added_.emplace_back(tensors_->make_group(name, members));
  added->set_activity(world_->activity());
  return *added;
}

void ProcessMesh::set_activity(ActivityLog* activity) const {
  for_each_group([&](Communicator& group) { group.set_activity(activity); });
}

void ProcessMesh::for_each_group(const std::function<void(Communicator&)>& visit) const {
  for (Communicator* group : {world_.get(), data_.get(), pipeline_.get(), tensor_.get(), model_.get()}) visit(*group);
  for (const auto& group : added_) visit(*group);
}

}  // namespace collimate
