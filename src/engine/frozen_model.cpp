#include "frozen_model.hpp"

#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"

namespace collimate::detail {

FrozenModel::FrozenModel(const ReferenceJob& job) : shard_(job.shard) {
  if (shard_ != nullptr) return;
  const ModelSource& model = job.model;
  StageOptions options = stage_options(job.identity.dtype, ShardUse::kForwardOnly, job.mesh);
  options.resident = job.config.reference.placement == ReferencePlacement::kColocated;
  own_.emplace(make_agreed(job.mesh.world(), [&] {
    return build_shard(model, shard_layout(job.config.parallel, model.spec(), job.mesh), options);
  }));
  if (!options.resident) offloaded_.emplace(*own_, parameter_loader(model));
  shard_ = &*own_;
}

}  // namespace collimate::detail
