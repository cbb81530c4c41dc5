// Bytes and barriers: what steers a job.

#include <algorithm>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "conformance.hpp"

namespace collimate::conformance {

namespace {

void groups_know_their_ranks(GroupFactory& factory) {
  const auto world = factory.make_world_group();
  EXPECT_EQ(world->name(), "world");
  EXPECT_EQ(world->rank(), factory.world_rank());
  EXPECT_EQ(world->size(), factory.world_size());
  on_each_group(factory, [&](Communicator& group) {
    const std::vector<std::string> ranks = group.all_gather_bytes(std::to_string(group.rank()));
    ASSERT_EQ(static_cast<int>(ranks.size()), group.size());
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) EXPECT_EQ(ranks[rank], std::to_string(rank));
  });
}

void bytes_of_different_lengths_are_gathered(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    const auto text_of = [](std::size_t rank) { return std::string(rank * 100'003, static_cast<char>('a' + rank)); };
    const std::vector<std::string> all = group.all_gather_bytes(text_of(static_cast<std::size_t>(group.rank())));
    ASSERT_EQ(static_cast<int>(all.size()), group.size());
    for (std::size_t rank = 0; rank < all.size(); ++rank) EXPECT_TRUE(all[rank] == text_of(rank)) << group.name();
    for (const std::string& empty : group.all_gather_bytes("")) EXPECT_EQ(empty, "");
  });
}

void bytes_of_any_root_are_broadcast(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    for (int root = 0; root < group.size(); ++root) {
      for (const std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{3} << 20}) {
        std::string expected(length, static_cast<char>('a' + root));
        if (length > 0) expected[length / 2] = '\0';
        std::string text = group.rank() == root ? expected : "stale";
        group.broadcast_bytes(text, root);
        EXPECT_TRUE(text == expected) << group.name() << ", root " << root << ", " << length << " bytes";
      }
    }
  });
}

// The ranks are on one machine and so have one clock.
void nobody_leaves_a_barrier_before_all_have_come(GroupFactory& factory) {
  using Clock = std::chrono::steady_clock;
  const auto now = [] { return std::to_string(Clock::now().time_since_epoch().count()); };
  on_each_group(factory, [&](Communicator& group) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30) * group.rank());
    const std::string came = now();
    group.barrier();
    const std::string left = now();
    const std::vector<std::string> all_came = group.all_gather_bytes(came);
    const std::vector<std::string> all_left = group.all_gather_bytes(left);
    const auto is_earlier = [](const std::string& a, const std::string& b) { return std::stoll(a) < std::stoll(b); };
    if (group.size() == 1) return;
    EXPECT_TRUE(
        is_earlier(*std::ranges::max_element(all_came, is_earlier), *std::ranges::min_element(all_left, is_earlier)));
  });
}

void what_does_not_hold_on_one_rank_does_not_hold(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    EXPECT_TRUE(group.all_hold(true));
    for (int other = 0; other < group.size(); ++other) EXPECT_FALSE(group.all_hold(group.rank() != other));
    EXPECT_FALSE(group.all_hold(false));
  });
}

void a_failure_is_agreed_on(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    EXPECT_EQ(make_agreed(group, [&] { return group.rank() + 1; }), group.rank() + 1);
    const auto fail_on_the_last_rank = [&] {
      if (group.rank() == group.size() - 1) throw InputError("pair 3: label 7.0");
    };
    EXPECT_THROW(run_agreed(group, fail_on_the_last_rank), AgreedError);
  });
}

}  // namespace

std::vector<Case> control_cases() {
  return {{"groups_know_their_ranks", groups_know_their_ranks},
          {"bytes_of_different_lengths_are_gathered", bytes_of_different_lengths_are_gathered},
          {"bytes_of_any_root_are_broadcast", bytes_of_any_root_are_broadcast},
          {"nobody_leaves_a_barrier_before_all_have_come", nobody_leaves_a_barrier_before_all_have_come},
          {"what_does_not_hold_on_one_rank_does_not_hold", what_does_not_hold_on_one_rank_does_not_hold},
          {"a_failure_is_agreed_on", a_failure_is_agreed_on}};
}

}  // namespace collimate::conformance
