#include "collimate/model/stage_split.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/model/cost.hpp"

namespace collimate {

namespace {

// Layer by layer to the rank that has least to do so far, there to its cheapest stage: with pieces of one size no other
// way ends with a smaller maximum, or a smaller sum of squares. Of equals the last, which keeps fewer microbatches.
std::vector<std::int64_t> even_split(std::int64_t num_layers, const std::vector<int>& rank_of_stage,
                                     const SplitCosts& costs) {
  const std::size_t num_stages = rank_of_stage.size();
  std::vector<std::int64_t> counts(num_stages, 1);
  std::vector<double> cost_of_stage(num_stages);
  std::vector<double> cost_of_rank(static_cast<std::size_t>(std::ranges::max(rank_of_stage)) + 1);
  const auto rank_cost = [&](std::size_t stage) -> double& {
    return cost_of_rank[static_cast<std::size_t>(rank_of_stage[stage])];
  };
  for (std::size_t stage = 0; stage < num_stages; ++stage) {
    cost_of_stage[stage] = stage_cost(costs, {.stage_index = static_cast<int>(stage),
                                              .num_stages = static_cast<int>(num_stages),
                                              .layers = {.begin = 0, .length = 1}});
    rank_cost(stage) += cost_of_stage[stage];
  }
  const auto order = [&](std::size_t stage) {
    return std::tuple(rank_cost(stage), -rank_of_stage[stage], cost_of_stage[stage]);
  };
  for (auto left = num_layers - static_cast<std::int64_t>(num_stages); left > 0; --left) {
    std::size_t next = 0;
    for (std::size_t stage = 1; stage < num_stages; ++stage) {
      if (order(stage) <= order(next)) next = stage;
    }
    ++counts[next];
    cost_of_stage[next] += costs.layer;
    rank_cost(next) += costs.layer;
  }
  return counts;
}

std::vector<std::int64_t> given_split(const ModelSpec& spec, int num_stages, const std::vector<int>& layers_per_stage) {
  const std::int64_t sum = std::accumulate(layers_per_stage.begin(), layers_per_stage.end(), std::int64_t{0});
  if (std::ssize(layers_per_stage) != num_stages || sum != spec.num_layers) {
    throw InputError(fmt::format(
        "parallel.layers_per_stage: [{}]: {} numbers with sum {}; expected one for each of the {} stages (pipeline x "
        "virtual_stages), with sum {}, the model's layers",
        fmt::join(layers_per_stage, ", "), layers_per_stage.size(), sum, num_stages, spec.num_layers));
  }
  if (std::ranges::min(layers_per_stage) < 1) {
    throw InputError(fmt::format("parallel.layers_per_stage: [{}]: a stage needs one layer at least",
                                 fmt::join(layers_per_stage, ", ")));
  }
  return {layers_per_stage.begin(), layers_per_stage.end()};
}

}  // namespace

StagePart whole_model(const ModelSpec& spec) { return {.layers = {.begin = 0, .length = spec.num_layers}}; }

SplitCosts split_costs(const ModelSpec& spec) {
  const ForwardFlops token = forward_flops(spec, {.num_tokens = 1, .num_labelled_rows = 1});
  // Forward and backward are three times the forward pass; the head's backward computes its logits once more.
  return {.embedding = 6.0 * static_cast<double>(spec.hidden_size),
          .layer = 3.0 * token.projections / static_cast<double>(spec.num_layers),
          .head = 4.0 * token.head};
}

double stage_cost(const SplitCosts& costs, const StagePart& part) {
  return static_cast<double>(part.layers.length) * costs.layer + (part.is_first() ? costs.embedding : 0) +
         (part.is_last() ? costs.head : 0);
}

std::vector<StagePart> split_stages(const ModelSpec& spec, const std::vector<int>& rank_of_stage,
                                    const std::optional<std::vector<int>>& layers_per_stage) {
  const auto num_stages = static_cast<int>(rank_of_stage.size());
  if (num_stages > spec.num_layers) {
    throw InputError(fmt::format(
        "parallel.pipeline: {} stages (pipeline x virtual_stages), but the model has {} layers; a stage needs one, so "
        "lower parallel.pipeline or parallel.virtual_stages",
        num_stages, spec.num_layers));
  }
  const std::vector<std::int64_t> counts = layers_per_stage
                                               ? given_split(spec, num_stages, *layers_per_stage)
                                               : even_split(spec.num_layers, rank_of_stage, split_costs(spec));
  std::vector<StagePart> parts;
  std::int64_t begin = 0;
  for (int stage = 0; stage < num_stages; ++stage) {
    const std::int64_t count = counts.at(static_cast<std::size_t>(stage));
    parts.push_back({.stage_index = stage, .num_stages = num_stages, .layers = {.begin = begin, .length = count}});
    begin += count;
  }
  return parts;
}

std::vector<LogicalTensor> stage_tensors(const ModelSpec& spec, const StagePart& part) {
  std::vector<LogicalTensor> tensors;
  if (part.is_first()) tensors.push_back({kEmbeddingName, {spec.vocab_size, spec.hidden_size}});
  for (std::int64_t layer = part.layers.begin; layer < part.layers.begin + part.layers.length; ++layer) {
    std::ranges::move(layer_tensors(spec, layer), std::back_inserter(tensors));
  }
  if (!part.is_last()) return tensors;
  tensors.push_back({kFinalNormName, {spec.hidden_size}});
  if (!spec.tie_word_embeddings) tensors.push_back(head_tensor(spec));
  return tensors;
}

LogicalTensor head_tensor(const ModelSpec& spec) {
  return {spec.tie_word_embeddings ? kEmbeddingName : kHeadName, {spec.vocab_size, spec.hidden_size}};
}

}  // namespace collimate
