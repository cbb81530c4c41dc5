#include "collimate/engine/build_shard.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/plan/pipeline_layout.hpp"

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
  return {source.spec(), layout, parameter_loader(source), options};
}

ParameterLoader parameter_loader(const Checkpoint& checkpoint) {
  return [&checkpoint](const PlacedTensor& placed) {
    const LogicalTensor& tensor = placed.tensor;
    const std::vector<std::int64_t> saved = checkpoint.shape_of(kModelGroup, tensor.name);
    if (saved != tensor.shape) {
      throw InputError(fmt::format("{}: tensor {} has shape [{}], but the model needs [{}]", checkpoint.path(),
                                   tensor.name, fmt::join(saved, ", "), fmt::join(tensor.shape, ", ")));
    }
    return checkpoint.load_piece(kModelGroup, tensor.name, slice_of(placed)).view(part_shape(tensor, placed.placement));
  };
}

ModelShard build_shard(const ModelSpec& spec, const Checkpoint& checkpoint, const ShardLayout& layout,
                       const StageOptions& options) {
  return {spec, layout, parameter_loader(checkpoint), options};
}

}  // namespace collimate
