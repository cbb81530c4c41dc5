#include "collimate/optim/bucket_progress.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Buckets = BucketProgress::Buckets;

PlannedParameter of_stages(std::vector<int> stages, GradientSum sum = GradientSum::kNone) {
  return {.elements = 64, .gradient_sum = sum, .stages = std::move(stages)};
}

// Buckets 0 and 1 of stage 0, 2 and 3 of stage 1, two parameters each.
ShardPlan two_stages() {
  std::vector<PlannedParameter> parameters(4, of_stages({0}));
  parameters.insert(parameters.end(), 4, of_stages({1}));
  return {parameters, 1, 128};
}

Buckets take_all(BucketProgress& progress, const std::vector<std::size_t>& parameters) {
  Buckets all;
  for (const std::size_t parameter : parameters) {
    for (const std::size_t bucket : progress.take(parameter)) all.push_back(bucket);
  }
  return all;
}

TEST(BucketProgressTest, a_bucket_is_reduced_as_soon_as_the_last_microbatch_has_given_all_of_it) {
  const ShardPlan plan = two_stages();
  BucketProgress progress(plan, false);
  progress.begin_step(2);
  progress.begin(1);
  EXPECT_THAT(take_all(progress, {7, 6, 5, 4}), IsEmpty()) << "one more microbatch is to come";
  EXPECT_THAT(progress.finish(1), IsEmpty());
  progress.begin(1);
  EXPECT_THAT(progress.take(7), IsEmpty());
  EXPECT_THAT(progress.take(6), ElementsAre(3));
  EXPECT_THAT(take_all(progress, {4, 5}), ElementsAre(2));
  EXPECT_THAT(progress.finish(1), IsEmpty());
  EXPECT_FALSE(progress.is_complete());
}

TEST(BucketProgressTest, what_a_pass_has_no_gradient_of_is_reduced_at_its_end) {
  const ShardPlan plan = two_stages();
  BucketProgress progress(plan, true);
  progress.begin_step(1);
  progress.begin(0);
  EXPECT_THAT(take_all(progress, {3, 1, 0}), IsEmpty());
  EXPECT_THAT(progress.finish(0), ElementsAre(1, 0));
}

TEST(BucketProgressTest, every_microbatch_can_be_reduced) {
  const ShardPlan plan = two_stages();
  BucketProgress progress(plan, true);
  progress.begin_step(2);
  for (int microbatch = 0; microbatch < 2; ++microbatch) {
    progress.begin(0);
    EXPECT_THAT(take_all(progress, {3, 2, 1, 0}), ElementsAre(1, 0));
    EXPECT_THAT(progress.finish(0), IsEmpty());
  }
}

TEST(BucketProgressTest, gradients_that_come_apart_are_reduced_when_the_stage_is_finished) {
  const ShardPlan plan = two_stages();
  BucketProgress progress(plan, false);
  progress.begin_step(1);
  EXPECT_THAT(take_all(progress, {3, 3, 2, 1, 0}), IsEmpty()) << "a parameter may get several gradients";
  EXPECT_THAT(progress.finish(0), ElementsAre(1, 0));
  EXPECT_THAT(progress.finish(1), ElementsAre(3, 2));
  EXPECT_TRUE(progress.is_complete());
}

TEST(BucketProgressTest, a_tied_embedding_waits_for_both_of_its_stages) {
  const ShardPlan plan(std::vector<PlannedParameter>{of_stages({0, 3}), of_stages({0}), of_stages({3})}, 1, 1);
  BucketProgress progress(plan, true);
  progress.begin_step(2);
  progress.begin(3);
  EXPECT_THAT(take_all(progress, {2, 0}), ElementsAre(2));
  EXPECT_THAT(progress.finish(3), IsEmpty());
  progress.begin(0);
  EXPECT_THAT(take_all(progress, {1, 0}), ElementsAre(1, 0));
  EXPECT_THAT(progress.finish(0), IsEmpty());
  // The other way round, as with weight gradients left for later.
  EXPECT_THAT(progress.finish(0), ElementsAre(1));
  EXPECT_THAT(progress.finish(3), ElementsAre(2, 0));
  EXPECT_TRUE(progress.is_complete());
}

TEST(BucketProgressTest, sums_over_copies_come_last) {
  const ShardPlan plan(
      std::vector<PlannedParameter>{of_stages({0}), of_stages({0}), of_stages({0}, GradientSum::kTensor)}, 1, 1);
  EXPECT_THAT(plan.completion_order(), ElementsAre(1, 0, 2));
}

TEST(BucketProgressTest, steps_do_not_overlap_and_a_pass_gives_a_gradient_once) {
  const ShardPlan plan = two_stages();
  BucketProgress progress(plan, false);
  progress.begin_step(1);
  EXPECT_THROW(progress.begin_step(1), InvariantError);
  progress.begin(0);
  EXPECT_THAT(take_all(progress, {3, 2}), ElementsAre(1));
  EXPECT_THROW((void)progress.take(2), InvariantError);
}

// Ranks may get gradients in any order; what they reduce must fit together.
TEST(BucketProgressTest, the_order_of_reductions_does_not_depend_on_that_of_gradients) {
  std::vector<PlannedParameter> parameters;
  for (int i = 0; i < 40; ++i) {
    parameters.push_back({.elements = 1 + 37 * (i % 5), .gradient_sum = static_cast<GradientSum>(i / 25)});
  }
  const ShardPlan plan(parameters, 2, 150);
  std::vector<std::size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::ranges::shuffle(order, random);
    BucketProgress progress(plan, round % 2 == 0);
    progress.begin_step(1);
    progress.begin(0);
    Buckets reduced = take_all(progress, order);
    for (const std::size_t bucket : progress.finish(0)) reduced.push_back(bucket);
    ASSERT_EQ(reduced, plan.completion_order()) << "round " << round;
  }
}

}  // namespace
}  // namespace collimate
