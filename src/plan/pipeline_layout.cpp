#include "collimate/plan/pipeline_layout.hpp"

#include "collimate/pipeline/generate.hpp"

namespace collimate {

PipelineLayout pipeline_layout(const ParallelConfig& config, const ModelSpec& spec) {
  require_tensor_degree(spec, config.tensor);
  PipelineLayout layout;
  layout.rank_of_stage = place_stages(config.schedule, config.pipeline, config.virtual_stages);
  layout.stages = split_stages(spec, layout.rank_of_stage, config.layers_per_stage);
  return layout;
}

}  // namespace collimate
