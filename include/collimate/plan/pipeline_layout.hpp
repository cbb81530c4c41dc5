#pragma once
// From the configuration to the stages of the pipeline. Pure.

#include "collimate/mesh/config.hpp"
#include "collimate/model/rank_tensors.hpp"

namespace collimate {

/// *Local.* The stages of this configuration's pipeline and who holds them. Throws InputError when a degree does not
/// fit the model; it says which would.
PipelineLayout pipeline_layout(const ParallelConfig& config, const ModelSpec& spec);

}  // namespace collimate
