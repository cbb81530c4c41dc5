#include "collimate/model/stage_split.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/model/cost.hpp"

namespace collimate {

namespace {

// How good a split is: the dearest stage first, evenness among equals.
struct Quality {
  double most = std::numeric_limits<double>::infinity();
  double squares = std::numeric_limits<double>::infinity();

  [[nodiscard]] bool is_better_than(const Quality& other) const {
    constexpr double kSame = 1e-9;
    if (most < other.most * (1 - kSame)) return true;
    return most <= other.most * (1 + kSame) && squares < other.squares * (1 - kSame);
  }
};

// best[s][n]: the best way to give the first n layers to the first s stages, and how many the last of these takes.
struct Choice {
  Quality quality;
  std::int64_t num_last = 0;
};

std::vector<std::int64_t> even_split(std::int64_t num_layers, int num_stages, const SplitCosts& costs) {
  const auto columns = static_cast<std::size_t>(num_layers) + 1;
  std::vector<std::vector<Choice>> best(static_cast<std::size_t>(num_stages) + 1, std::vector<Choice>(columns));
  best[0][0].quality = {.most = 0, .squares = 0};
  for (int stage = 0; stage < num_stages; ++stage) {
    const auto& before = best[static_cast<std::size_t>(stage)];
    auto& after = best[static_cast<std::size_t>(stage) + 1];
    for (std::int64_t total = 1; total <= num_layers; ++total) {
      for (std::int64_t own = 1; own <= total; ++own) {
        const Quality& rest = before[static_cast<std::size_t>(total - own)].quality;
        const double cost =
            stage_cost(costs, {.stage_index = stage, .num_stages = num_stages, .layers = {.begin = 0, .length = own}});
        const Quality quality{.most = std::max(rest.most, cost), .squares = rest.squares + cost * cost};
        Choice& choice = after[static_cast<std::size_t>(total)];
        if (quality.is_better_than(choice.quality)) choice = {.quality = quality, .num_last = own};
      }
    }
  }
  std::vector<std::int64_t> counts(static_cast<std::size_t>(num_stages));
  std::int64_t left = num_layers;
  for (std::size_t stage = counts.size(); stage-- > 0;) {
    counts[stage] = best[stage + 1][static_cast<std::size_t>(left)].num_last;
    left -= counts[stage];
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

std::vector<StagePart> split_stages(const ModelSpec& spec, int num_stages,
                                    const std::optional<std::vector<int>>& layers_per_stage) {
  if (num_stages > spec.num_layers) {
    throw InputError(fmt::format(
        "parallel.pipeline: {} stages (pipeline x virtual_stages), but the model has {} layers; a stage needs one, so "
        "lower parallel.pipeline or parallel.virtual_stages",
        num_stages, spec.num_layers));
  }
  const std::vector<std::int64_t> counts = layers_per_stage
                                               ? given_split(spec, num_stages, *layers_per_stage)
                                               : even_split(spec.num_layers, num_stages, split_costs(spec));
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
