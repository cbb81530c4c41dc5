#include "collimate/data/sampler.hpp"

#include <limits>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Indices = std::vector<std::uint64_t>;

/// How often each pair stands in the batches [first_step, first_step + num_steps).
std::map<std::uint64_t, int> count_pairs(Sampler& sampler, std::int64_t first_step, std::int64_t num_steps) {
  std::map<std::uint64_t, int> counts;
  for (std::int64_t step = first_step; step < first_step + num_steps; ++step) {
    for (const std::uint64_t pair : sampler.batch(step)) ++counts[pair];
  }
  return counts;
}

TEST(SamplerTest, an_epoch_has_every_pair_once) {
  Sampler sampler({.seed = 1, .shuffle = true, .global_batch_size = 4}, {{.num_pairs = 10, .repeat = 1.0}});
  ASSERT_EQ(sampler.num_batches_per_epoch(), 3);
  for (const std::int64_t epoch : {0, 1, 7}) {
    const auto counts = count_pairs(sampler, 3 * epoch, 3);
    ASSERT_EQ(counts.size(), 10U);
    for (const auto& [pair, count] : counts) EXPECT_EQ(count, 1) << pair;
  }
}

TEST(SamplerTest, the_last_batch_of_an_epoch_is_partial) {
  Sampler sampler({.seed = 1, .shuffle = true, .global_batch_size = 4}, {{.num_pairs = 10, .repeat = 1.0}});
  EXPECT_EQ(sampler.batch(1).size(), 4U);
  EXPECT_EQ(sampler.batch(2).size(), 2U);
  EXPECT_EQ(sampler.batch(3).size(), 4U);
  EXPECT_EQ(sampler.batch(5).size(), 2U);
}

TEST(SamplerTest, keeps_file_order_without_shuffling) {
  Sampler sampler({.seed = 1, .shuffle = false, .global_batch_size = 3},
                  {{.num_pairs = 2, .repeat = 2.0}, {.num_pairs = 3, .repeat = 1.0}});
  EXPECT_EQ(sampler.batch(0), (Indices{0, 1, 0}));
  EXPECT_EQ(sampler.batch(1), (Indices{1, 2, 3}));
  EXPECT_EQ(sampler.batch(2), (Indices{4}));
  EXPECT_EQ(sampler.batch(3), (Indices{0, 1, 0}));
}

TEST(SamplerTest, shuffles_each_epoch_anew) {
  const Sampler sampler({.seed = 1, .shuffle = true, .global_batch_size = 4}, {{.num_pairs = 100, .repeat = 1.0}});
  Indices file_order(100);
  for (std::uint64_t i = 0; i < 100; ++i) file_order[i] = i;
  EXPECT_NE(sampler.epoch_order(0), file_order);
  EXPECT_NE(sampler.epoch_order(0), sampler.epoch_order(1));
}

TEST(SamplerTest, every_pair_can_stand_anywhere) {
  const Sampler sampler({.seed = 5, .shuffle = true, .global_batch_size = 1}, {{.num_pairs = 4, .repeat = 1.0}});
  std::map<Indices, int> orders;
  for (std::int64_t epoch = 0; epoch < 24000; ++epoch) ++orders[sampler.epoch_order(epoch)];
  ASSERT_EQ(orders.size(), 24U);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1000, 160);
}

TEST(SamplerTest, is_a_pure_function_of_the_step) {
  const SamplerOptions options{.seed = 9, .shuffle = true, .global_batch_size = 7};
  const std::vector<SourceSize> sources{{.num_pairs = 30, .repeat = 1.3}, {.num_pairs = 11, .repeat = 0.5}};
  Sampler forward(options, sources);
  Sampler backward(options, sources);
  std::vector<Indices> batches;
  for (std::int64_t step = 0; step < 40; ++step) batches.push_back(forward.batch(step));
  for (std::int64_t step = 39; step >= 0; --step) {
    EXPECT_EQ(backward.batch(step), batches[static_cast<std::size_t>(step)]) << step;
  }
}

TEST(SamplerTest, the_seed_decides_the_order) {
  const std::vector<SourceSize> sources{{.num_pairs = 50, .repeat = 1.0}};
  const Sampler one({.seed = 1, .shuffle = true, .global_batch_size = 4}, sources);
  const Sampler two({.seed = 2, .shuffle = true, .global_batch_size = 4}, sources);
  EXPECT_NE(one.epoch_order(0), two.epoch_order(0));
}

TEST(SamplerTest, a_blended_epoch_takes_each_source_by_its_repeat) {
  Sampler sampler(
      {.seed = 3, .shuffle = true, .global_batch_size = 8},
      {{.num_pairs = 10, .repeat = 2.25}, {.num_pairs = 7, .repeat = 0.5}, {.num_pairs = 5, .repeat = 0.0}});
  ASSERT_EQ(sampler.num_pairs_per_epoch(), 23U + 4U);
  const auto counts = count_pairs(sampler, 0, sampler.num_batches_per_epoch());
  int num_thrice = 0;
  for (std::uint64_t pair = 0; pair < 10; ++pair) {
    ASSERT_TRUE(counts.at(pair) == 2 || counts.at(pair) == 3);
    if (counts.at(pair) == 3) ++num_thrice;
  }
  EXPECT_EQ(num_thrice, 3);
  EXPECT_EQ(counts.size(), 10U + 4U);
  for (const auto& [pair, count] : counts) {
    if (pair >= 10) {
      EXPECT_LT(pair, 17U);
      EXPECT_EQ(count, 1);
    }
  }
}

TEST(SamplerTest, the_fractional_part_is_another_subset_each_epoch) {
  for (const bool shuffle : {true, false}) {
    const Sampler sampler({.seed = 3, .shuffle = shuffle, .global_batch_size = 8}, {{.num_pairs = 40, .repeat = 0.5}});
    std::set<Indices> subsets;
    std::set<std::uint64_t> ever;
    for (std::int64_t epoch = 0; epoch < 12; ++epoch) {
      Indices order = sampler.epoch_order(epoch);
      ASSERT_EQ(order.size(), 20U);
      EXPECT_EQ(std::ranges::is_sorted(order), !shuffle);
      std::ranges::sort(order);
      EXPECT_EQ(std::ranges::adjacent_find(order), order.end());
      ever.insert(order.begin(), order.end());
      subsets.insert(std::move(order));
    }
    EXPECT_EQ(subsets.size(), 12U);
    EXPECT_EQ(ever.size(), 40U);
  }
}

TEST(SamplerTest, tells_where_a_step_stands) {
  const Sampler sampler({.seed = 1, .shuffle = true, .global_batch_size = 4}, {{.num_pairs = 10, .repeat = 1.0}});
  EXPECT_EQ(sampler.position(0), (EpochPosition{0, 0}));
  EXPECT_EQ(sampler.position(2), (EpochPosition{0, 2}));
  EXPECT_EQ(sampler.position(3), (EpochPosition{1, 0}));
  EXPECT_DOUBLE_EQ(sampler.epochs_done(2), 0.8);
  EXPECT_DOUBLE_EQ(sampler.epochs_done(3), 1.0);
  EXPECT_DOUBLE_EQ(sampler.epochs_done(4), 1.4);
}

TEST(SamplerTest, refuses_an_epoch_without_pairs) {
  const auto build = [](const std::vector<SourceSize>& sources) {
    return [sources] { Sampler({.seed = 1, .shuffle = true, .global_batch_size = 4}, sources); };
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(build({}), throws<InputError>(HasSubstr("data.train")));
  EXPECT_THAT(build({{.num_pairs = 4, .repeat = 0.1}}), throws<InputError>(HasSubstr("an epoch has no pairs")));
  EXPECT_THAT(build({{.num_pairs = 4, .repeat = 1}, {.num_pairs = 4, .repeat = -1.0}}),
              throws<InputError>(HasSubstr("data.train.1.repeat: -1")));
  EXPECT_THAT(build({{.num_pairs = 4, .repeat = kInfinity}}), throws<InputError>(HasSubstr("repeat: inf")));
}

TEST(SamplerTest, refuses_a_batch_of_no_pairs) {
  const auto build = [] { Sampler({.seed = 1, .shuffle = true, .global_batch_size = 0}, {{.num_pairs = 4}}); };
  EXPECT_THAT(build, throws<InputError>(HasSubstr("batch.global_batch_size: 0")));
}

TEST(EvaluationBatchTest, takes_every_pair_once_in_file_order) {
  ASSERT_EQ(num_evaluation_batches(7, 3), 3);
  EXPECT_THAT(evaluation_batch(7, 3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(evaluation_batch(7, 3, 1), ElementsAre(3, 4, 5));
  EXPECT_THAT(evaluation_batch(7, 3, 2), ElementsAre(6));
  EXPECT_EQ(num_evaluation_batches(6, 3), 2);
  EXPECT_EQ(num_evaluation_batches(0, 3), 0);
  EXPECT_THROW(evaluation_batch(6, 3, 2), InvariantError);
}

}  // namespace
}  // namespace collimate
