#include "collimate/model/stage_split.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Counts = std::vector<std::int64_t>;

ModelSpec spec_of(std::int64_t num_layers, std::int64_t vocab_size = 29) {
  ModelSpec spec = test::tiny_spec();
  spec.num_layers = num_layers;
  spec.vocab_size = vocab_size;
  spec.windowed_layers.assign(static_cast<std::size_t>(num_layers), false);
  return spec;
}

/// Every stage on a rank of its own.
std::vector<int> one_each(int num_stages) {
  std::vector<int> rank_of_stage(static_cast<std::size_t>(num_stages));
  std::iota(rank_of_stage.begin(), rank_of_stage.end(), 0);
  return rank_of_stage;
}

Counts counts_of(const std::vector<StagePart>& parts) {
  Counts counts;
  for (const StagePart& part : parts) counts.push_back(part.layers.length);
  return counts;
}

/// What a split costs: its dearest stage, and the sum of squares, which is least for the most even one.
struct SplitCost {
  double most = 0;
  double squares = 0;
};

SplitCost cost_of(const Counts& counts, const SplitCosts& costs) {
  SplitCost cost;
  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    double own = static_cast<double>(counts[stage]) * costs.layer;
    if (stage == 0) own += costs.embedding;
    if (stage + 1 == counts.size()) own += costs.head;
    cost.most = std::max(cost.most, own);
    cost.squares += own * own;
  }
  return cost;
}

/// Every way to write `total` as `num_parts` numbers of at least one.
std::vector<Counts> compositions(std::int64_t total, int num_parts) {
  if (num_parts == 1) return {{total}};
  std::vector<Counts> all;
  for (std::int64_t first = 1; first <= total - num_parts + 1; ++first) {
    for (Counts& rest : compositions(total - first, num_parts - 1)) {
      rest.insert(rest.begin(), first);
      all.push_back(std::move(rest));
    }
  }
  return all;
}

SplitCost best_of_all(const ModelSpec& spec, int num_stages) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  SplitCost best{.most = kNone, .squares = kNone};
  for (const Counts& counts : compositions(spec.num_layers, num_stages)) {
    const SplitCost cost = cost_of(counts, split_costs(spec));
    if (cost.most > best.most * (1 + 1e-9)) continue;
    if (cost.most < best.most * (1 - 1e-9)) best.squares = kNone;
    best = {.most = std::min(best.most, cost.most), .squares = std::min(best.squares, cost.squares)};
  }
  return best;
}

TEST(SplitStagesTest, the_dearest_stage_is_as_cheap_as_in_any_split) {
  // The head costs 0.2, 1.9, 6 and 19 layers.
  for (const std::int64_t vocab_size : {29, 300, 1000, 3000}) {
    for (std::int64_t num_layers = 1; num_layers <= 9; ++num_layers) {
      const ModelSpec spec = spec_of(num_layers, vocab_size);
      for (int num_stages = 1; num_stages <= num_layers; ++num_stages) {
        const std::vector<StagePart> parts = split_stages(spec, one_each(num_stages), {});
        const SplitCost got = cost_of(counts_of(parts), split_costs(spec));
        const SplitCost best = best_of_all(spec, num_stages);
        EXPECT_NEAR(got.most / best.most, 1, 1e-9) << num_layers << " layers, " << num_stages << " stages";
        EXPECT_NEAR(got.squares / best.squares, 1, 1e-9) << num_layers << " layers, " << num_stages << " stages";
      }
    }
  }
}

TEST(SplitStagesTest, stages_follow_one_another_with_a_layer_each_at_least) {
  for (const std::int64_t num_layers : {1, 2, 7, 12}) {
    for (int num_stages = 1; num_stages <= num_layers; ++num_stages) {
      const std::vector<StagePart> parts = split_stages(spec_of(num_layers, 3000), one_each(num_stages), {});
      ASSERT_EQ(std::ssize(parts), num_stages);
      std::int64_t end = 0;
      for (int stage = 0; stage < num_stages; ++stage) {
        const StagePart& part = parts[static_cast<std::size_t>(stage)];
        EXPECT_EQ(part.stage_index, stage);
        EXPECT_EQ(part.is_first(), stage == 0);
        EXPECT_EQ(part.is_last(), stage == num_stages - 1);
        EXPECT_EQ(part.layers.begin, end);
        EXPECT_GE(part.layers.length, 1);
        end += part.layers.length;
      }
      EXPECT_EQ(end, num_layers);
    }
  }
}

TEST(SplitStagesTest, a_dear_head_leaves_the_last_stage_fewer_layers) {
  EXPECT_THAT(counts_of(split_stages(spec_of(8), one_each(2), {})), ElementsAre(4, 4));
  const SplitCosts costs = split_costs(spec_of(8, 1000));
  ASSERT_GT(costs.head, 4 * costs.layer);
  EXPECT_THAT(counts_of(split_stages(spec_of(8, 1000), one_each(2), {})), ElementsAre(7, 1));
}

TEST(SplitStagesTest, costs_are_those_of_a_training_step) {
  // A layer: q 24 x 24, k and v 12 x 24, o 24 x 24, three of 40 x 24, thrice two FLOPs; the head: four times two.
  const SplitCosts costs = split_costs(test::tiny_spec());
  EXPECT_DOUBLE_EQ(costs.layer, 6.0 * (24 * 24 + 2 * 12 * 24 + 24 * 24 + 3 * 40 * 24));
  EXPECT_DOUBLE_EQ(costs.head, 8.0 * 29 * 24);
  EXPECT_LT(costs.embedding, costs.layer / 10);
}

TEST(SplitStagesTest, eighty_layers_over_eight_stages_make_room_for_the_head) {
  ModelSpec spec = spec_of(80, 128256);
  spec.hidden_size = 8192;
  spec.intermediate_size = 28672;
  spec.num_heads = 64;
  spec.num_kv_heads = 8;
  spec.head_dim = 128;
  Counts counts = counts_of(split_stages(spec, one_each(8), {}));
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}), 80);
  // The head costs 1.6 layers: with nine layers the last stage is cheaper than one of eleven.
  EXPECT_EQ(counts.back(), 9);
  EXPECT_EQ(counts.front(), 10) << "the first has the embedding, too";
  counts.pop_back();
  EXPECT_THAT(counts, Each(AnyOf(10, 11)));
}

TEST(SplitStagesTest, what_a_rank_holds_in_all_is_even) {
  // The head costs six layers. There and back over two ranks, the first of which has the embedding and the head.
  EXPECT_THAT(counts_of(split_stages(spec_of(16, 1000), {0, 1, 1, 0}, {})), ElementsAre(4, 5, 6, 1));
  // Twice through two ranks: the second has the head.
  EXPECT_THAT(counts_of(split_stages(spec_of(16, 1000), {0, 1, 0, 1}, {})), ElementsAre(5, 4, 6, 1));
}

TEST(SplitStagesTest, a_given_list_is_obeyed) {
  const std::vector<StagePart> parts = split_stages(spec_of(6), one_each(3), std::vector{1, 4, 1});
  EXPECT_THAT(counts_of(parts), ElementsAre(1, 4, 1));
  EXPECT_EQ(parts[1], (StagePart{.stage_index = 1, .num_stages = 3, .layers = {.begin = 1, .length = 4}}));
}

TEST(SplitStagesTest, a_given_list_that_does_not_fit_is_refused) {
  EXPECT_THAT([] { split_stages(spec_of(6), one_each(2), std::vector{2, 3}); },
              throws<InputError>("parallel.layers_per_stage: [2, 3]: 2 numbers with sum 5; expected one for each of "
                                 "the 2 stages (pipeline x virtual_stages), with sum 6, the model's layers"));
  EXPECT_THAT([] { split_stages(spec_of(6), one_each(2), std::vector{2, 2, 2}); },
              throws<InputError>(AllOf(StartsWith("parallel.layers_per_stage: [2, 2, 2]: 3 numbers"),
                                       HasSubstr("each of the 2 stages"))));
}

TEST(SplitStagesTest, a_stage_without_layers_is_refused) {
  EXPECT_THAT([] { split_stages(spec_of(6), one_each(3), std::vector{3, 0, 3}); },
              throws<InputError>("parallel.layers_per_stage: [3, 0, 3]: a stage needs one layer at least"));
}

TEST(SplitStagesTest, more_stages_than_layers_are_refused) {
  const std::string message =
      "parallel.pipeline: 7 stages (pipeline x virtual_stages), but the model has 6 layers; a stage needs one, so "
      "lower parallel.pipeline or parallel.virtual_stages";
  EXPECT_THAT([] { split_stages(spec_of(6), one_each(7), {}); }, throws<InputError>(message));
  EXPECT_THAT([] { split_stages(spec_of(6), one_each(7), std::vector{1, 1, 1, 1, 1, 1, 0}); },
              throws<InputError>(message));
}

TEST(StageTensorsTest, the_stages_in_order_have_the_tensors_of_the_model) {
  for (const bool tie_word_embeddings : {false, true}) {
    ModelSpec spec = spec_of(5);
    spec.qk_norm = true;
    spec.tie_word_embeddings = tie_word_embeddings;
    for (int num_stages = 1; num_stages <= 5; ++num_stages) {
      std::vector<LogicalTensor> joined;
      for (const StagePart& part : split_stages(spec, one_each(num_stages), {})) {
        std::ranges::move(stage_tensors(spec, part), std::back_inserter(joined));
      }
      EXPECT_EQ(joined, logical_tensors(spec)) << num_stages << " stages";
    }
  }
}

TEST(StageTensorsTest, the_head_is_the_embedding_where_they_are_tied) {
  ModelSpec spec = test::tiny_spec();
  EXPECT_EQ(head_tensor(spec), (LogicalTensor{kHeadName, {29, 24}}));
  spec.tie_word_embeddings = true;
  EXPECT_EQ(head_tensor(spec), (LogicalTensor{kEmbeddingName, {29, 24}}));
}

}  // namespace
}  // namespace collimate
