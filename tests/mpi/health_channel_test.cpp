#include "collimate/comm/health_channel.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "support/mpi_world.hpp"

namespace collimate {
namespace {

using std::chrono::milliseconds;

// Rank 0 enters the barrier last: only once it has seen all others inside of it.
TEST(HealthChannelTest, ranks_that_mpi_blocks_are_heard) {
  const auto world = make_world_group();
  const int size = world->size();
  ActivityLog activity;
  world->set_activity(&activity);
  std::atomic<bool> all_wait = size == 1;
  JobStore store(*world);
  HealthChannel channel(store, *world, activity,
                        {.beat = milliseconds(20), .on_look = [&](const JobHealth& health) {
                           if (std::all_of(health.ranks.begin() + 1, health.ranks.end(), [](const RankHealth& one) {
                                 return one.activity.waiting == "barrier of group 'world'";
                               })) {
                             all_wait = true;
                           }
                         }});
  for (int i = 0; world->rank() == 0 && !all_wait && i < 2000; ++i) std::this_thread::sleep_for(milliseconds(5));
  if (world->rank() == 0) {
    EXPECT_TRUE(all_wait);
    channel.publish("seen", "all");
  }
  world->barrier();
  EXPECT_EQ(channel.find("seen"), "all");
  EXPECT_FALSE(activity.read().waits_for_others());
}

}  // namespace
}  // namespace collimate
