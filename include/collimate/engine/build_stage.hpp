#pragma once
// From a source of weights to the model of this rank.

#include "collimate/config/dtype.hpp"
#include "collimate/nn/stage.hpp"
#include "collimate/store/checkpoint.hpp"
#include "collimate/store/model_source.hpp"

namespace collimate {

/// libtorch's name of a dtype.
at::ScalarType scalar_type(ComputeDtype dtype);

/// What the stage is for: training keeps what a backward pass needs.
enum class StageUse { kTraining, kForwardOnly };

/// *Local.* Loads initial weights.
Stage build_stage(const ModelSource& source, ComputeDtype dtype, StageUse use);

/// *Local.* Loads the weights of a checkpoint of this model. Throws InputError where a tensor is missing or has another
/// shape.
Stage build_stage(const ModelSpec& spec, const Checkpoint& checkpoint, ComputeDtype dtype, StageUse use);

/// The name of the group of a checkpoint that holds the weights.
inline constexpr const char* kModelGroup = "model";

}  // namespace collimate
