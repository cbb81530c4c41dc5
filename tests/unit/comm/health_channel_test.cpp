#include "collimate/comm/health_channel.hpp"

#include <atomic>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "collimate/comm/job_store/key_values.hpp"
#include "support/thread_world.hpp"

namespace collimate {
namespace {

using std::chrono::milliseconds;

// The last view of a rank.
class View {
 public:
  void put(const JobHealth& health) {
    const std::scoped_lock lock(mutex_);
    last_ = health;
  }
  [[nodiscard]] JobHealth last() const {
    const std::scoped_lock lock(mutex_);
    return last_;
  }
  template <class Condition>
  [[nodiscard]] bool shows(const Condition& condition) const {
    for (int i = 0; i < 2000; ++i) {
      const JobHealth health = last();
      if (!health.ranks.empty() && condition(health)) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }

 private:
  mutable std::mutex mutex_;
  JobHealth last_;
};

class HealthChannelTest : public ::testing::TestWithParam<int> {};

TEST_P(HealthChannelTest, every_rank_of_a_small_job_knows_what_each_does) {
  run_as_threads(GetParam(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    const int own = world->rank();
    ActivityLog activity;
    View view;
    JobStore store(*world);
    HealthChannel channel(store, *world, activity,
                          {.beat = milliseconds(20), .on_look = [&](const JobHealth& health) { view.put(health); }});
    activity.set_step(own + 5);
    activity.note("reading part " + std::to_string(own), ActivityKind::kWork);
    EXPECT_TRUE(view.shows([&](const JobHealth& health) {
      for (int rank = 0; rank < GetParam(); ++rank) {
        const RankHealth& one = health.ranks[static_cast<std::size_t>(rank)];
        if (one.activity.work != "reading part " + std::to_string(rank) || one.activity.step != rank + 5) return false;
      }
      return true;
    }));
    EXPECT_TRUE(view.last().listens);
    EXPECT_EQ(view.last().world_rank, own);
    activity.note("the other ranks", ActivityKind::kWaiting);
    EXPECT_TRUE(view.shows([&](const JobHealth& health) {
      return std::ranges::all_of(health.ranks, [](const RankHealth& one) { return one.activity.waits_for_others(); });
    }));
    world->barrier();
  });
}

TEST_P(HealthChannelTest, an_action_that_does_not_end_gets_old_while_heartbeats_go_on) {
  run_as_threads(GetParam(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    ActivityLog activity;
    View view;
    JobStore store(*world);
    HealthChannel channel(store, *world, activity,
                          {.beat = milliseconds(20), .on_look = [&](const JobHealth& health) { view.put(health); }});
    EXPECT_TRUE(view.shows([](const JobHealth& health) {
      return std::ranges::all_of(health.ranks, [](const RankHealth& one) {
        return one.action_age > milliseconds(500) && one.silent_for < milliseconds(400);
      });
    }));
    world->barrier();
    activity.tick();
    EXPECT_TRUE(view.shows([&](const JobHealth& health) {
      return health.ranks[static_cast<std::size_t>(world->rank())].action_age < milliseconds(400);
    }));
    world->barrier();
  });
}

TEST_P(HealthChannelTest, of_a_notice_the_first_value_stays_and_any_thread_finds_it) {
  std::atomic<int> num_first = 0;
  run_as_threads(GetParam(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    ActivityLog activity;
    JobStore store(*world);
    std::atomic<bool> is_found = false;
    HealthChannel* self = nullptr;
    HealthChannel channel(store, *world, activity, {.beat = milliseconds(20)});
    self = &channel;
    EXPECT_EQ(channel.find("verdict"), std::nullopt);
    world->barrier();
    channel.publish("verdict", "of rank " + std::to_string(world->rank()));
    const std::optional<std::string> first = channel.find("verdict");
    ASSERT_TRUE(first.has_value());
    if (*first == "of rank " + std::to_string(world->rank())) ++num_first;
    world->barrier();
    std::jthread other([&] { is_found = self->find("verdict") == first; });
    other.join();
    EXPECT_TRUE(is_found);
    EXPECT_EQ(channel.find("verdict.else"), std::nullopt);
    channel.publish("empty", "");
    EXPECT_EQ(channel.find("empty"), "");
  });
  EXPECT_EQ(num_first, 1);
}

TEST_P(HealthChannelTest, the_thread_that_beats_may_find_and_publish) {
  run_as_threads(GetParam(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    ActivityLog activity;
    JobStore store(*world);
    std::atomic<HealthChannel*> self = nullptr;
    std::atomic<bool> is_heard = false;
    HealthChannel channel(store, *world, activity, {.beat = milliseconds(20), .on_beat = [&] {
                                                      HealthChannel* const own = self;
                                                      if (own != nullptr && own->find("question")) {
                                                        own->publish("answer", "yes");
                                                        is_heard = true;
                                                      }
                                                    }});
    self = &channel;
    if (world->rank() == 0) channel.publish("question", "?");
    for (int i = 0; i < 2000 && !is_heard; ++i) std::this_thread::sleep_for(milliseconds(5));
    EXPECT_TRUE(is_heard);
    EXPECT_EQ(channel.find("answer"), "yes");
    self = nullptr;
    world->barrier();
  });
}

TEST_P(HealthChannelTest, heartbeats_that_cannot_be_read_do_not_silence_a_rank) {
  run_as_threads(GetParam(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    ActivityLog activity;
    View view;
    JobStore store(*world);
    HealthChannel channel(store, *world, activity,
                          {.beat = milliseconds(20), .on_look = [&](const JobHealth& health) { view.put(health); }});
    for (int i = 0; i < 1000; ++i) {
      const int rank = i % world->size();
      store.values().set("beat." + std::to_string(rank), std::string(static_cast<std::size_t>(i % 7), '\n') + "x");
    }
    world->barrier();
    activity.note("the work after", ActivityKind::kWork);
    EXPECT_TRUE(view.shows([](const JobHealth& health) {
      return std::ranges::all_of(health.ranks,
                                 [](const RankHealth& one) { return one.activity.work == "the work after"; });
    }));
    world->barrier();
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, HealthChannelTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace collimate
