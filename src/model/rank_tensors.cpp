#include "collimate/model/rank_tensors.hpp"

#include <algorithm>

namespace collimate {

std::vector<StagePart> PipelineLayout::stages_of(int pp_rank) const {
  std::vector<StagePart> own;
  for (const StagePart& stage : stages) {
    if (rank_of_stage.at(static_cast<std::size_t>(stage.stage_index)) == pp_rank) own.push_back(stage);
  }
  return own;
}

PipelineLayout one_stage(const ModelSpec& spec) { return {.stages = {whole_model(spec)}, .rank_of_stage = {0}}; }

std::vector<PlacedTensor> rank_tensors(const ModelSpec& spec, const PipelineLayout& layout, int pp_rank,
                                       const TensorShard& shard) {
  const bool tied_apart = spec.tie_word_embeddings && layout.first_rank() != layout.last_rank();
  std::vector<PlacedTensor> placed;
  const auto add = [&](LogicalTensor tensor, int stage_index) {
    Placement placement = place_tensor(spec, tensor, shard);
    if (tied_apart && tensor.name == kEmbeddingName) {
      placement.gradient_sum = GradientSum::kTied;
      placement.is_primary = pp_rank == layout.first_rank();
    }
    placed.push_back({.tensor = std::move(tensor), .placement = placement, .stages = {stage_index}});
    const bool also_last = spec.tie_word_embeddings && !tied_apart && layout.stages.size() > 1;
    if (also_last && placed.back().tensor.name == kEmbeddingName) {
      placed.back().stages.push_back(layout.stages.back().stage_index);
    }
  };
  for (const StagePart& stage : layout.stages_of(pp_rank)) {
    for (LogicalTensor& tensor : stage_tensors(spec, stage)) add(std::move(tensor), stage.stage_index);
    if (stage.is_last() && tied_apart) add(head_tensor(spec), stage.stage_index);
  }
  std::ranges::stable_sort(placed, {}, [](const PlacedTensor& each) { return each.placement.gradient_sum; });
  return placed;
}

}  // namespace collimate
