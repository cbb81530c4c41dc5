#include "collimate/data/packer.hpp"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/random.hpp"
#include "collimate/data/segment.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A pair of `tokens` stream tokens with the default layout.
PairLengths pair_of(std::int64_t tokens) { return {tokens - 2, 1, 1}; }

std::vector<PairLengths> random_batch(std::uint64_t seed, std::uint64_t count) {
  const RandomStream stream(seed, "packer_test");
  std::vector<PairLengths> batch;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto length = [&](std::uint64_t part, std::uint64_t bound) {
      return static_cast<std::int64_t>(1 + stream.below(3 * i + part, bound));
    };
    batch.push_back({length(0, 100), length(1, 300), length(2, 300)});
  }
  return batch;
}

double cost_of(const PairLengths& lengths, const PackingOptions& options) {
  const auto segments = segments_of_pair(lengths, options.layout, 0);
  return options.cost.per_token * static_cast<double>(num_stream_tokens(lengths, options.layout)) +
         options.cost.per_attended_key * static_cast<double>(num_attended_keys(segments, options.cost.window));
}

std::vector<double> rank_costs(const PackingPlan& plan, const std::vector<PairLengths>& batch,
                               const PackingOptions& options) {
  std::vector<double> costs;
  for (const auto& rank : plan.microbatches) {
    double& sum = costs.emplace_back(0);
    for (const auto& microbatch : rank) {
      for (const std::size_t index : microbatch) sum += cost_of(batch.at(index), options);
    }
  }
  return costs;
}

struct PackerCase {
  std::uint64_t num_pairs;
  PackingOptions options;
};

class PackerPropertyTest : public ::testing::TestWithParam<PackerCase> {};

TEST(PackerTest, gives_the_longest_pairs_out_first) {
  const std::vector batch{pair_of(10), pair_of(40), pair_of(20), pair_of(30)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 2, .microbatch_tokens = 100, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches, ElementsAre(ElementsAre(ElementsAre(0, 1)), ElementsAre(ElementsAre(2, 3))));
}

TEST(PackerTest, makes_few_and_even_microbatches) {
  const std::vector batch{pair_of(50), pair_of(50), pair_of(30), pair_of(30), pair_of(20)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 1, .microbatch_tokens = 160, .layout = {}, .cost = {}});
  ASSERT_EQ(plan.microbatches.size(), 1U);
  // Filled to the brim they would be 160 and 20.
  EXPECT_THAT(plan.microbatches[0], ElementsAre(ElementsAre(0, 2, 4), ElementsAre(1, 3)));
}

TEST(PackerTest, fills_tightly_where_spreading_would_need_one_more) {
  // 12 + 12 and 8 + 8 + 8 fill two budgets of 24; the even spread would put 12 + 8 + 8 together.
  const std::vector batch{pair_of(12), pair_of(12), pair_of(8), pair_of(8), pair_of(8)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 1, .microbatch_tokens = 24, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches[0], ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3, 4)));
}

TEST(PackerTest, gives_a_pair_beyond_the_budget_a_microbatch_of_its_own) {
  const std::vector batch{pair_of(10), pair_of(101), pair_of(10)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 1, .microbatch_tokens = 100, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches[0], ElementsAre(ElementsAre(1), ElementsAre(0, 2)));
}

TEST(PackerTest, a_pair_of_exactly_the_budget_fits) {
  const std::vector batch{pair_of(60), pair_of(40)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 1, .microbatch_tokens = 100, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches[0], ElementsAre(ElementsAre(0, 1)));
}

TEST(PackerTest, gives_ranks_empty_microbatches_when_pairs_are_fewer) {
  const std::vector batch{pair_of(10), pair_of(20)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 4, .microbatch_tokens = 100, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches, ElementsAre(ElementsAre(ElementsAre(1)), ElementsAre(ElementsAre(0)),
                                             ElementsAre(IsEmpty()), ElementsAre(IsEmpty())));
}

TEST(PackerTest, all_ranks_have_as_many_microbatches_as_the_one_that_needs_most) {
  const std::vector batch{pair_of(90), pair_of(40), pair_of(40)};
  const PackingPlan plan = pack(batch, {.num_dp_ranks = 2, .microbatch_tokens = 50, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches,
              ElementsAre(ElementsAre(ElementsAre(0), IsEmpty()), ElementsAre(ElementsAre(1), ElementsAre(2))));
}

TEST(PackerTest, plans_nothing_for_an_empty_batch) {
  const PackingPlan plan = pack({}, {.num_dp_ranks = 3, .microbatch_tokens = 100, .layout = {}, .cost = {}});
  EXPECT_THAT(plan.microbatches, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
}

TEST(PackerTest, attention_can_outweigh_tokens) {
  // 100 tokens attend to more keys than seven times 22: with attention counted, the long pair has its rank alone.
  std::vector<PairLengths> batch(8, pair_of(22));
  batch[0] = pair_of(100);
  PackingOptions options{.num_dp_ranks = 2, .microbatch_tokens = 1000, .layout = {}, .cost = {}};
  EXPECT_THAT(pack(batch, options).microbatches[0], ElementsAre(ElementsAre(0, 6)));
  options.cost.per_attended_key = 1.0;
  EXPECT_THAT(pack(batch, options).microbatches[0], ElementsAre(ElementsAre(0)));
}

TEST_P(PackerPropertyTest, every_pair_stands_in_one_microbatch) {
  const auto batch = random_batch(1, GetParam().num_pairs);
  const PackingPlan plan = pack(batch, GetParam().options);
  ASSERT_EQ(std::ssize(plan.microbatches), GetParam().options.num_dp_ranks);
  std::vector<std::size_t> all;
  for (const auto& rank : plan.microbatches) {
    EXPECT_EQ(rank.size(), plan.microbatches.front().size());
    for (const auto& microbatch : rank) {
      EXPECT_TRUE(std::ranges::is_sorted(microbatch));
      all.insert(all.end(), microbatch.begin(), microbatch.end());
    }
  }
  std::ranges::sort(all);
  std::vector<std::size_t> expected(batch.size());
  std::iota(expected.begin(), expected.end(), std::size_t{0});
  EXPECT_EQ(all, expected);
}

TEST_P(PackerPropertyTest, microbatches_keep_the_budget_and_come_largest_first) {
  const PackingOptions& options = GetParam().options;
  const auto batch = random_batch(2, GetParam().num_pairs);
  for (const auto& rank : pack(batch, options).microbatches) {
    std::int64_t before = std::numeric_limits<std::int64_t>::max();
    for (const auto& microbatch : rank) {
      std::int64_t tokens = 0;
      for (const std::size_t index : microbatch) tokens += num_stream_tokens(batch[index], options.layout);
      EXPECT_TRUE(tokens <= options.microbatch_tokens || microbatch.size() == 1) << tokens;
      EXPECT_LE(tokens, before);
      before = tokens;
    }
  }
}

TEST_P(PackerPropertyTest, no_rank_exceeds_another_by_more_than_one_pair) {
  const PackingOptions& options = GetParam().options;
  const auto batch = random_batch(3, GetParam().num_pairs);
  double most = 0;
  for (const PairLengths& lengths : batch) most = std::max(most, cost_of(lengths, options));
  const auto costs = rank_costs(pack(batch, options), batch, options);
  const auto [least_loaded, most_loaded] = std::ranges::minmax(costs);
  EXPECT_LE(most_loaded - least_loaded, most * (1 + 1e-12));
}

TEST_P(PackerPropertyTest, the_plan_is_the_same_every_time) {
  const auto batch = random_batch(4, GetParam().num_pairs);
  EXPECT_EQ(pack(batch, GetParam().options), pack(batch, GetParam().options));
}

TEST_P(PackerPropertyTest, microbatches_are_not_many_more_than_the_tokens_need) {
  const PackingOptions& options = GetParam().options;
  const auto batch = random_batch(5, GetParam().num_pairs);
  for (const auto& rank : pack(batch, options).microbatches) {
    std::int64_t tokens = 0;
    std::int64_t num_alone = 0;
    for (const auto& microbatch : rank) {
      for (const std::size_t index : microbatch) {
        const std::int64_t size = num_stream_tokens(batch[index], options.layout);
        if (size > options.microbatch_tokens) ++num_alone;
        if (size <= options.microbatch_tokens) tokens += size;
      }
    }
    // Two microbatches that together fit one budget would have been joined, so all but one are over half full.
    EXPECT_LE(std::ssize(rank) - num_alone, 2 * tokens / options.microbatch_tokens + 1);
  }
}

const PairLayout kShared{true, Responses::kBoth};
const PairLayout kPlain{false, Responses::kBoth};
const PairLayout kChosen{true, Responses::kChosenOnly};

INSTANTIATE_TEST_SUITE_P(
    Shapes, PackerPropertyTest,
    ::testing::Values(PackerCase{32, {.num_dp_ranks = 1, .microbatch_tokens = 1024, .layout = kShared, .cost = {}}},
                      PackerCase{64, {.num_dp_ranks = 4, .microbatch_tokens = 2048, .layout = kPlain, .cost = {}}},
                      PackerCase{200, {.num_dp_ranks = 7, .microbatch_tokens = 500, .layout = kChosen, .cost = {}}},
                      PackerCase{3, {.num_dp_ranks = 8, .microbatch_tokens = 1024, .layout = kShared, .cost = {}}},
                      PackerCase{100, {.num_dp_ranks = 3, .microbatch_tokens = 1, .layout = kShared, .cost = {}}},
                      PackerCase{100,
                                 {.num_dp_ranks = 3,
                                  .microbatch_tokens = 900,
                                  .layout = kShared,
                                  .cost = {.per_token = 2.0, .per_attended_key = 0.01, .window = 64}}}));

}  // namespace
}  // namespace collimate
