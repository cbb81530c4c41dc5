#pragma once
// What one rank holds of a model: its stages of the pipeline, its part of every tensor in them. Pure, so that any rank
// knows what every other holds.

#include <vector>

#include "collimate/model/placement.hpp"
#include "collimate/model/stage_split.hpp"

namespace collimate {

/// The stages of a pipeline and the ranks that hold them.
struct PipelineLayout {
  std::vector<StagePart> stages;
  std::vector<int> rank_of_stage;  ///< [stages], pp_rank

  bool operator==(const PipelineLayout&) const = default;
  [[nodiscard]] std::vector<StagePart> stages_of(int pp_rank) const;
  [[nodiscard]] int first_rank() const { return rank_of_stage.front(); }
  [[nodiscard]] int last_rank() const { return rank_of_stage.back(); }
};

/// All of the model in one stage on one rank.
PipelineLayout one_stage(const ModelSpec& spec);

/// A logical tensor and the rank's part of it.
struct PlacedTensor {
  LogicalTensor tensor;
  Placement placement;
  std::vector<int> stages = {};  ///< Of this rank, those that use it: one, or the first and the last if they are tied.
};

/// The tensors that a rank holds, those of one GradientSum together, in the order of that enumeration and within it of
/// the model. A tied head on another rank than the embedding's is there once more, as a copy that is not primary.
std::vector<PlacedTensor> rank_tensors(const ModelSpec& spec, const PipelineLayout& layout, int pp_rank,
                                       const TensorShard& shard);

}  // namespace collimate
