#include "support/thread_world.hpp"

#include <atomic>
#include <thread>

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

TEST(ThreadWorldTest, every_thread_is_a_rank) {
  std::atomic<int> sum_of_ranks = 0;
  run_as_threads(3, [&](GroupFactory& factory) {
    EXPECT_EQ(factory.world_size(), 3);
    sum_of_ranks += factory.world_rank();
    const auto world = factory.make_world_group();
    at::Tensor sum = at::full({2}, factory.world_rank() + 1, at::kLong);
    world->all_reduce(sum, ReduceOp::kSum);
    EXPECT_EQ(sum[0].item<std::int64_t>(), 1 + 2 + 3);
  });
  EXPECT_EQ(sum_of_ranks, 0 + 1 + 2);
}

TEST(ThreadWorldTest, the_first_exception_comes_out_though_others_wait_in_a_collective) {
  const auto fail_on_rank_1 = [](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    world->barrier();
    if (factory.world_rank() == 1) throw InputError("rank 1 does not like it");
    world->barrier();
  };
  EXPECT_THAT([&] { run_as_threads(4, fail_on_rank_1); }, throws<InputError>(testing::HasSubstr("does not like it")));
}

TEST(ThreadWorldTest, worlds_do_not_meet) {
  std::thread other(
      [] { run_as_threads(2, [](GroupFactory& factory) { EXPECT_EQ(factory.make_world_group()->size(), 2); }); });
  run_as_threads(3, [](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    EXPECT_EQ(world->all_gather_bytes("x").size(), 3U);
  });
  other.join();
}

TEST(ThreadWorldTest, a_rank_outside_the_world_is_refused) {
  EXPECT_THROW((void)ThreadWorld(2).make_factory(2), InvariantError);
  EXPECT_THROW(
      run_as_threads(2, [](GroupFactory& factory) { (void)factory.make_group("data", {1 - factory.world_rank()}); }),
      InvariantError);
}

}  // namespace
}  // namespace collimate
