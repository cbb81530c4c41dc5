#include "collimate/optim/shard_plan.hpp"

#include <random>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

std::vector<PlannedParameter> plain(const std::vector<std::int64_t>& sizes) {
  std::vector<PlannedParameter> parameters;
  for (const std::int64_t size : sizes) parameters.push_back({.elements = size});
  return parameters;
}

TEST(ShardPlanTest, one_rank_has_everything_without_a_gap_between_parameters) {
  const ShardPlan plan(plain({50, 30, 90}), 1, 1000);
  ASSERT_EQ(plan.buckets().size(), 1U);
  EXPECT_EQ(plan.flat_elements(), 192);
  EXPECT_EQ(plan.shard_elements(), 192);
  EXPECT_EQ(plan.parameter(1), (ShardRange{50, 30}));
  EXPECT_EQ(plan.parameter_part(2, 0), (ShardRange{80, 90}));
}

TEST(ShardPlanTest, a_bucket_is_closed_once_it_has_enough) {
  const ShardPlan plan(plain({64, 64, 64, 320, 1}), 2, 128);
  ASSERT_EQ(plan.buckets().size(), 3U);
  EXPECT_EQ(plan.buckets()[0],
            (Bucket{.flat = {0, 128}, .first_parameter = 0, .end_parameter = 2, .stages = {0}, .shard_begin = 0}));
  EXPECT_EQ(plan.buckets()[1],
            (Bucket{.flat = {128, 384}, .first_parameter = 2, .end_parameter = 4, .stages = {0}, .shard_begin = 64}));
  EXPECT_EQ(plan.buckets()[2],
            (Bucket{.flat = {512, 128}, .first_parameter = 4, .end_parameter = 5, .stages = {0}, .shard_begin = 256}));
  EXPECT_EQ(plan.shard_elements(), 320);
}

TEST(ShardPlanTest, parameters_that_are_summed_differently_do_not_share_a_bucket) {
  std::vector<PlannedParameter> parameters = plain({2, 2, 2});
  parameters[1].gradient_sum = parameters[2].gradient_sum = GradientSum::kTied;
  const ShardPlan plan(parameters, 1, 1000);
  ASSERT_EQ(plan.buckets().size(), 2U);
  EXPECT_EQ(plan.buckets()[1].gradient_sum, GradientSum::kTied);
  EXPECT_EQ(plan.buckets()[1].first_parameter, 1U);
}

TEST(ShardPlanTest, parameters_of_different_stages_do_not_share_a_bucket) {
  std::vector<PlannedParameter> parameters = plain({2, 2, 2, 2});
  parameters[0].stages = {0, 1};
  parameters[3].stages = {1};
  const ShardPlan plan(parameters, 1, 1000);
  ASSERT_EQ(plan.buckets().size(), 3U);
  EXPECT_EQ(plan.buckets()[0].stages, (std::vector<int>{0, 1}));
  EXPECT_EQ(plan.buckets()[1].end_parameter, 3U);
}

TEST(ShardPlanTest, buckets_are_a_32nd_of_the_parameters_within_bounds) {
  EXPECT_EQ(bucket_elements_for(plain({320'000'000})), 10'000'000);
  EXPECT_EQ(bucket_elements_for(plain({1000})), kLeastBucketElements);
  EXPECT_EQ(bucket_elements_for(plain({2'000'000'000})), kMostBucketElements);
}

TEST(ShardPlanTest, a_small_parameter_is_on_some_of_the_ranks) {
  const ShardPlan plan(plain({100}), 4, 1);
  EXPECT_EQ(plan.shard_elements(), 64);
  EXPECT_EQ(plan.parameter_part(0, 0), (ShardRange{0, 64}));
  EXPECT_EQ(plan.parameter_part(0, 1), (ShardRange{0, 36}));
  EXPECT_EQ(plan.parameter_part(0, 3), (ShardRange{0, 0})) << "nothing, but inside the part";
}

TEST(ShardPlanTest, a_plan_of_nothing_is_empty) {
  const ShardPlan plan({}, 3, 8);
  EXPECT_EQ(plan.flat_elements(), 0);
  EXPECT_TRUE(plan.buckets().empty());
  EXPECT_THROW(ShardPlan(plain({1}), 0, 8), InvariantError);
}

// Buckets follow one another, ranks' parts fill them, and each element of a parameter is on exactly one rank.
void expect_whole(const ShardPlan& plan) {
  std::int64_t end = 0;
  std::int64_t shard_end = 0;
  for (const Bucket& bucket : plan.buckets()) {
    EXPECT_EQ(bucket.flat.begin, end);
    EXPECT_EQ(bucket.shard_begin, shard_end);
    EXPECT_LT(bucket.first_parameter, bucket.end_parameter);
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      EXPECT_EQ(plan.part(bucket, rank).begin, end);
      EXPECT_EQ(plan.part(bucket, rank).begin % kPartElements, 0);
      end += plan.part(bucket, rank).length;
    }
    EXPECT_EQ(end, bucket.flat.begin + bucket.flat.length);
    shard_end += plan.part(bucket, 0).length;
  }
  EXPECT_EQ(end, plan.flat_elements());
  EXPECT_EQ(shard_end, plan.shard_elements());
  for (std::size_t index = 0; index < plan.num_parameters(); ++index) {
    std::int64_t covered = 0;
    for (int rank = 0; rank < plan.num_ranks(); ++rank) covered += plan.parameter_part(index, rank).length;
    EXPECT_EQ(covered, plan.parameter(index).length) << "parameter " << index;
  }
}

TEST(ShardPlanTest, any_plan_puts_every_element_on_one_rank_and_fills_up_little) {
  std::mt19937 random(5);
  const auto pick = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<PlannedParameter> parameters;
    std::int64_t elements = 0;
    for (std::int64_t i = pick(1, 40); i > 0; --i) {
      parameters.push_back({.elements = pick(1, 2000), .gradient_sum = static_cast<GradientSum>(round % 2 * (i % 4))});
      elements += parameters.back().elements;
    }
    const int num_ranks = static_cast<int>(pick(1, 9));
    const ShardPlan plan(parameters, num_ranks, pick(1, 5000));
    expect_whole(plan);
    const auto most_waste = std::ssize(plan.buckets()) * (kPartElements * num_ranks - 1);
    EXPECT_LE(plan.flat_elements(), elements + most_waste);
  }
}

}  // namespace
}  // namespace collimate
