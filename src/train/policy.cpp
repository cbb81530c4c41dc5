#include "collimate/train/policy.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include "collimate/engine/build_shard.hpp"
#include "gather_tensors.hpp"

namespace collimate {

namespace {

constexpr const char* kExpAvgGroup = "exp_avg";
constexpr const char* kExpAvgSqGroup = "exp_avg_sq";

std::vector<at::Tensor> values_of(const ModelShard& shard) {
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : shard.parameters()) values.push_back(parameter.value);
  return values;
}

std::vector<Placement> placements_of(const ModelShard& shard) {
  std::vector<Placement> placements;
  for (const Parameter& parameter : shard.parameters()) placements.push_back(parameter.placement);
  return placements;
}

}  // namespace

Policy::Policy(ModelShard shard, const OptimizerConfig& config, ProcessMesh& mesh)
    : mesh_(mesh),
      shard_(std::move(shard)),
      parameters_(values_of(shard_)),
      optimizer_(config, parameters_.values()),
      reducer_(mesh, shard_.spec(), shard_.layout().pipeline, placements_of(shard_)) {}

void Policy::update(double learning_rate) {
  optimizer_.step(parameters_.values(), parameters_.gradients(), learning_rate);
}

std::vector<TensorGroup> Policy::gather_groups() const {
  const auto gather = [&](const char* name, const at::Tensor& flat) {
    const auto part = [&](std::size_t index) { return parameters_.part(flat, index); };
    return TensorGroup{.name = name, .tensors = detail::gather_tensors(shard_, mesh_, part)};
  };
  std::vector<TensorGroup> groups{gather(kModelGroup, parameters_.values()), gather(kExpAvgGroup, optimizer_.exp_avg()),
                                  gather(kExpAvgSqGroup, optimizer_.exp_avg_sq())};
  if (mesh_.world().rank() != 0) groups.clear();
  return groups;
}

void Policy::restore_moments(const Checkpoint& checkpoint, std::int64_t num_updates) {
  optimizer_.restore(flat_group(checkpoint, kExpAvgGroup), flat_group(checkpoint, kExpAvgSqGroup), num_updates);
}

at::Tensor Policy::flat_group(const Checkpoint& checkpoint, const char* name) const {
  at::Tensor flat = at::empty_like(parameters_.values());
  const auto parameters = shard_.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor whole = checkpoint.load(name, parameters[i].name);
    parameters_.part(flat, i).copy_(part_of(whole, parameters[i].placement));
  }
  return flat;
}

}  // namespace collimate
