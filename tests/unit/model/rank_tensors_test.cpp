#include "collimate/model/rank_tensors.hpp"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;

/// Five layers with every kind of tensor; neither vocabulary nor MLP can be divided evenly.
ModelSpec five_layers(bool tie_word_embeddings, std::int64_t num_heads = 8, std::int64_t num_kv_heads = 2) {
  ModelSpec spec = test::tiny_spec_with_all_options();
  spec.tie_word_embeddings = tie_word_embeddings;
  spec.num_layers = 5;
  spec.windowed_layers.assign(5, true);
  spec.intermediate_size = 41;
  spec.num_heads = num_heads;
  spec.num_kv_heads = num_kv_heads;
  return spec;
}

PipelineLayout layout_of(const ModelSpec& spec, const std::vector<int>& rank_of_stage) {
  return {.stages = split_stages(spec, rank_of_stage, {}), .rank_of_stage = rank_of_stage};
}

/// One stage; in turn; several stages a rank; V shapes; and one rank with most.
const std::vector<std::vector<int>> kRanksOfStages = {{0},          {0, 1}, {0, 1, 2},       {0, 1, 0, 1},
                                                      {0, 1, 1, 0}, {0, 0}, {0, 1, 2, 3, 4}, {0, 1, 0, 1, 0}};

int num_ranks(const PipelineLayout& layout) { return 1 + *std::ranges::max_element(layout.rank_of_stage); }

using PartCounts = std::map<std::string, std::vector<int>>;

/// Counts every element of the part once.
void count_part(const PlacedTensor& placed, PartCounts& counts) {
  const auto& [tensor, placement, stages] = placed;
  const std::int64_t num_columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  std::vector<int>& elements = counts[tensor.name];
  elements.resize(static_cast<std::size_t>(tensor.num_elements()));
  std::int64_t num_counted = 0;
  for (std::int64_t element = 0; element < tensor.num_elements(); ++element) {
    const std::int64_t index = placement.dim == 1 ? element % num_columns : element / num_columns;
    const bool is_in_range = index >= placement.range.begin && index < placement.range.begin + placement.range.length;
    if (placement.dim >= 0 && !is_in_range) continue;
    ++elements[static_cast<std::size_t>(element)];
    ++num_counted;
  }
  const LogicalTensor part{tensor.name, part_shape(tensor, placement)};
  EXPECT_EQ(part.num_elements(), num_counted) << tensor.name << ": the part does not lie in the tensor";
}

/// How often the primary parts of all ranks have each element.
PartCounts count_primary_parts(const ModelSpec& spec, const PipelineLayout& layout, TensorShard shard) {
  PartCounts counts;
  for (int pp_rank = 0; pp_rank < num_ranks(layout); ++pp_rank) {
    for (shard.tp_rank = 0; shard.tp_rank < shard.tp_size; ++shard.tp_rank) {
      for (const PlacedTensor& placed : rank_tensors(spec, layout, pp_rank, shard)) {
        if (placed.placement.is_primary) count_part(placed, counts);
      }
    }
  }
  return counts;
}

class RankTensorsTest : public ::testing::TestWithParam<std::tuple<bool, int, bool>> {};

TEST_P(RankTensorsTest, primary_parts_cover_every_element_exactly_once) {
  const auto [tied, tp_size, sequence_parallel] = GetParam();
  for (const std::int64_t num_kv_heads : {1, 2, 8}) {
    const ModelSpec spec = five_layers(tied, 8, num_kv_heads);
    for (const std::vector<int>& rank_of_stage : kRanksOfStages) {
      SCOPED_TRACE(::testing::PrintToString(rank_of_stage));
      const PartCounts counts = count_primary_parts(spec, layout_of(spec, rank_of_stage),
                                                    {.tp_size = tp_size, .sequence_parallel = sequence_parallel});
      EXPECT_EQ(counts.size(), logical_tensors(spec).size());
      for (const LogicalTensor& tensor : logical_tensors(spec)) {
        ASSERT_TRUE(counts.contains(tensor.name)) << tensor.name;
        EXPECT_EQ(std::ranges::count(counts.at(tensor.name), 1), tensor.num_elements())
            << tensor.name << ", " << num_kv_heads << " kv heads";
      }
    }
  }
}

TEST_P(RankTensorsTest, those_of_one_sum_stand_together_and_in_the_order_of_the_model) {
  const auto [tied, tp_size, sequence_parallel] = GetParam();
  const ModelSpec spec = five_layers(tied);
  const std::vector<LogicalTensor> model = logical_tensors(spec);
  for (const std::vector<int>& rank_of_stage : kRanksOfStages) {
    const PipelineLayout layout = layout_of(spec, rank_of_stage);
    for (int pp_rank = 0; pp_rank < num_ranks(layout); ++pp_rank) {
      std::vector<std::pair<GradientSum, std::ptrdiff_t>> order;
      const TensorShard shard{.tp_rank = tp_size - 1, .tp_size = tp_size, .sequence_parallel = sequence_parallel};
      for (const auto& [tensor, placement, stages] : rank_tensors(spec, layout, pp_rank, shard)) {
        order.emplace_back(placement.gradient_sum, std::ranges::find(model, tensor) - model.begin());
      }
      EXPECT_TRUE(std::ranges::is_sorted(order)) << ::testing::PrintToString(rank_of_stage) << ", rank " << pp_rank;
      EXPECT_EQ(std::ranges::adjacent_find(order), order.end()) << "a tensor stands twice";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(TiedDegreeSequence, RankTensorsTest,
                         ::testing::Combine(::testing::Bool(), ::testing::Values(1, 2, 4, 8), ::testing::Bool()));

TEST(RankTensorsOfOneRankTest, one_stage_on_one_rank_is_the_model) {
  for (const bool tied : {false, true}) {
    const ModelSpec spec = five_layers(tied);
    std::vector<LogicalTensor> tensors;
    for (PlacedTensor& placed : rank_tensors(spec, one_stage(spec), 0, {})) tensors.push_back(std::move(placed.tensor));
    EXPECT_EQ(tensors, logical_tensors(spec));
  }
}

/// The parts of the embedding on a rank.
std::vector<Placement> embedding_parts(const ModelSpec& spec, const PipelineLayout& layout, int pp_rank) {
  std::vector<Placement> parts;
  for (const auto& [tensor, placement, stages] : rank_tensors(spec, layout, pp_rank, {.tp_rank = 1, .tp_size = 2})) {
    if (tensor.name == kEmbeddingName) parts.push_back(placement);
  }
  return parts;
}

TEST(RankTensorsOfOneRankTest, a_tensor_knows_the_stages_that_use_it) {
  const ModelSpec spec = five_layers(true);
  const PipelineLayout layout = layout_of(spec, {0, 1, 1, 0});  // both ends on rank 0, as with zbv
  for (const PlacedTensor& placed : rank_tensors(spec, layout, 0, {})) {
    const bool is_last = placed.tensor.name == kFinalNormName || placed.tensor.name.starts_with("model.layers.4.");
    const bool is_embedding = placed.tensor.name == kEmbeddingName;
    const std::vector<int> expected = is_embedding ? std::vector{0, 3} : std::vector{is_last ? 3 : 0};
    EXPECT_EQ(placed.stages, expected) << placed.tensor.name;
  }
  const std::vector<PlacedTensor> apart = rank_tensors(spec, layout_of(spec, {0, 1}), 1, {});
  EXPECT_TRUE(std::ranges::all_of(apart, [](const PlacedTensor& placed) { return placed.stages == std::vector{1}; }));
}

TEST(RankTensorsOfOneRankTest, a_tied_head_on_another_rank_is_a_copy_that_is_not_primary) {
  const ModelSpec spec = five_layers(true);
  const PipelineLayout layout = layout_of(spec, {0, 1, 2});
  const Placement original{
      .dim = 0, .range = {.begin = 15, .length = 14}, .gradient_sum = GradientSum::kTied, .is_primary = true};
  Placement copy = original;
  copy.is_primary = false;
  EXPECT_THAT(embedding_parts(spec, layout, 0), ElementsAre(original));
  EXPECT_THAT(embedding_parts(spec, layout, 1), ElementsAre());
  EXPECT_THAT(embedding_parts(spec, layout, 2), ElementsAre(copy));
}

TEST(RankTensorsOfOneRankTest, a_tied_head_at_the_end_of_a_v_is_the_embedding_itself) {
  const ModelSpec spec = five_layers(true);
  const PipelineLayout layout = layout_of(spec, {0, 1, 1, 0});
  EXPECT_THAT(embedding_parts(spec, layout, 0), ElementsAre(Placement{.dim = 0, .range = {.begin = 15, .length = 14}}));
  EXPECT_THAT(embedding_parts(spec, layout, 1), ElementsAre());
}

TEST(PipelineLayoutTest, a_rank_has_its_stages_in_ascending_order) {
  const ModelSpec spec = five_layers(false);
  const PipelineLayout layout = layout_of(spec, {0, 1, 1, 0});
  EXPECT_THAT(layout.stages_of(0), ElementsAre(layout.stages[0], layout.stages[3]));
  EXPECT_THAT(layout.stages_of(1), ElementsAre(layout.stages[1], layout.stages[2]));
  EXPECT_THAT(layout.stages_of(2), ElementsAre());
  EXPECT_EQ(layout.first_rank(), 0);
  EXPECT_EQ(layout.last_rank(), 0);
}

}  // namespace
}  // namespace collimate
