#pragma once
// From a source of weights to the part of the model that this rank holds.

#include <memory>

#include "collimate/base/log.hpp"
#include "collimate/config/dtype.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/store/checkpoint.hpp"
#include "collimate/store/model_source.hpp"

namespace collimate {

/// libtorch's name of a dtype.
at::ScalarType scalar_type(ComputeDtype dtype);

/// What the shard is for: training keeps what a backward pass needs.
enum class ShardUse { kTraining, kForwardOnly };

/// *Local.* Opens the model that a section names, and finds out before anything else whether the axes fit it: as
/// open_model_source and pipeline_layout.
std::unique_ptr<ModelSource> open_divided_model(const ModelConfig& config, const ParallelConfig& parallel);

/// *Local.* Warns of a model's remarks, on rank 0.
void tell_remarks(const ModelSource& model, const Log& log);

/// *Local.* This rank's place in that. The mesh must outlive the result.
ShardLayout shard_layout(const ParallelConfig& config, const ModelSpec& spec, const ProcessMesh& mesh);

/// *Local.* How it computes: on the mesh's device.
StageOptions stage_options(ComputeDtype dtype, ShardUse use, const ProcessMesh& mesh);

/// A source's tensors, for shards. Not owned: `source`.
ParameterLoader parameter_loader(const ModelSource& source);

/// *Local.* Loads initial weights.
ModelShard build_shard(const ModelSource& source, const ShardLayout& layout, const StageOptions& options);

/// *Local.* A shard of zeros, whose values are to be loaded.
ModelShard build_unset_shard(const ModelSpec& spec, const ShardLayout& layout, const StageOptions& options);

/// *Collective.* Fills a shard that computes forward only with the weights of a checkpoint of its model. Throws as
/// load_pieces.
void load_weights(const ModelShard& shard, const Checkpoint& checkpoint, Communicator& world);

/// The name of the group of a checkpoint that holds the weights.
inline constexpr const char* kModelGroup = "model";

}  // namespace collimate
