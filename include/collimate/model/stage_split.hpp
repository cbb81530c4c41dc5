#pragma once
// Which layers make which stage of the pipeline. Pure.

#include <cstdint>
#include <optional>
#include <vector>

#include "collimate/base/shard_range.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "collimate/model/spec.hpp"

namespace collimate {

/// The part of the model that one stage computes. The first stage has the embedding, the last one the final norm and
/// the head.
struct StagePart {
  int stage_index = 0;
  int num_stages = 1;
  ShardRange layers;

  bool operator==(const StagePart&) const = default;
  [[nodiscard]] bool is_first() const { return stage_index == 0; }
  [[nodiscard]] bool is_last() const { return stage_index == num_stages - 1; }
};

/// The whole model as one stage.
StagePart whole_model(const ModelSpec& spec);

/// Cost of the pieces that a split moves about, in any one unit.
struct SplitCosts {
  double embedding = 0;
  double layer = 1;
  double head = 0;
};

/// FLOPs of a training step a stream token. The head's logits are computed twice, and on labelled rows only, taken to
/// be all; looking up an embedding costs what reading and adding a row does.
SplitCosts split_costs(const ModelSpec& spec);

/// Cost of a stage.
double stage_cost(const SplitCosts& costs, const StagePart& part);

/// Divides the layers among the stages, at least one each: by `layers_per_stage` where given, else so that the ranks
/// that hold them (`rank_of_stage`, from 0 without gaps) have as even a share of the cost as can be, and the stages of
/// a rank likewise. Throws InputError that says what would fit.
std::vector<StagePart> split_stages(const ModelSpec& spec, const std::vector<int>& rank_of_stage,
                                    const std::optional<std::vector<int>>& layers_per_stage);

/// The logical tensors of a stage in their usual order. A tied head is not among them: head_tensor.
std::vector<LogicalTensor> stage_tensors(const ModelSpec& spec, const StagePart& part);

/// The tensor behind the head's weight: the embedding's own where they are tied.
LogicalTensor head_tensor(const ModelSpec& spec);

}  // namespace collimate
