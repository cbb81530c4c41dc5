#include "collimate/engine/build_shard.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/model/tensor_piece.hpp"
#include "collimate/plan/pipeline_layout.hpp"
#include "collimate/store/load_pieces.hpp"

namespace collimate {

at::ScalarType scalar_type(ComputeDtype dtype) {
  switch (dtype) {
    case ComputeDtype::kFloat32:
      return at::kFloat;
    case ComputeDtype::kBFloat16:
      return at::kBFloat16;
    case ComputeDtype::kFloat64:
      return at::kDouble;
  }
  throw InvariantError("every dtype of a configuration is one of libtorch's");
}

std::unique_ptr<ModelSource> open_divided_model(const ModelConfig& config, const ParallelConfig& parallel) {
  auto model = open_model_source(config);
  static_cast<void>(pipeline_layout(parallel, model->spec()));
  return model;
}

void tell_remarks(const ModelSource& model, const Log& log) {
  if (log.world_rank() != 0) return;
  for (const std::string& remark : model.remarks()) log.warn("{}", remark);
}

ShardLayout shard_layout(const ParallelConfig& config, const ModelSpec& spec, const ProcessMesh& mesh) {
  return {.pipeline = pipeline_layout(config, spec),
          .pp_rank = mesh.coordinate().pp_rank,
          .axis = {.group = &mesh.tensor(), .sequence_parallel = config.sequence_parallel}};
}

StageOptions stage_options(ComputeDtype dtype, ShardUse use, const ProcessMesh& mesh) {
  return {.dtype = scalar_type(dtype), .device = mesh.device(), .trainable = use == ShardUse::kTraining};
}

ParameterLoader parameter_loader(const ModelSource& source) {
  return parts_of([&source](const LogicalTensor& tensor) { return source.borrow(tensor.name); });
}

ModelShard build_shard(const ModelSource& source, const ShardLayout& layout, const StageOptions& options) {
  const ParameterLoader load = [activity = layout.axis.group->activity(),
                                part = parameter_loader(source)](const PlacedTensor& placed) {
    note_work(activity, "loading weights, tensor {}", placed.tensor.name);
    return part(placed);
  };
  return {source.spec(), layout, load, options};
}

ModelShard build_unset_shard(const ModelSpec& spec, const ShardLayout& layout, const StageOptions& options) {
  const ParameterLoader zeros = [](const PlacedTensor& placed) {
    return at::zeros({}, at::kFloat).expand(part_shape(placed.tensor, placed.placement));
  };
  return {spec, layout, zeros, options};
}

void load_weights(const ModelShard& shard, const Checkpoint& checkpoint, Communicator& world) {
  const ShardLayout& layout = shard.layout();
  std::vector<LoadRequest> requests;
  for (const PlacedTensor& placed : rank_tensors(shard.spec(), layout.pipeline, layout.pp_rank, layout.axis.shard())) {
    const at::Tensor& value = shard.parameters()[requests.size()].value;
    requests.push_back({.group = kModelGroup,
                        .name = placed.tensor.name,
                        .shape = placed.tensor.shape,
                        .piece = slice_of(placed),
                        .into = value.detach().view({-1})});
  }
  load_pieces(checkpoint, requests, world);
}

}  // namespace collimate
