#include "collimate/base/awake_clock.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

using std::chrono::seconds;

TEST(AwakeClockTest, ages_grow_while_somebody_asks) {
  const AwakeClock::Clock::time_point start{};
  AwakeClock clock(seconds(3), start);
  for (int now = 1; now <= 100; ++now) EXPECT_EQ(clock.age(start, start + seconds(now)), seconds(now));
  EXPECT_EQ(clock.age(start + seconds(90), start + seconds(101)), seconds(11));
}

TEST(AwakeClockTest, ages_begin_anew_after_a_stop) {
  const AwakeClock::Clock::time_point start{};
  AwakeClock clock(seconds(3), start);
  EXPECT_EQ(clock.age(start, start + seconds(2)), seconds(2));
  EXPECT_EQ(clock.age(start, start + seconds(1000)), seconds(0));
  EXPECT_EQ(clock.age(start, start + seconds(1002)), seconds(2));
  EXPECT_EQ(clock.age(start + seconds(1001), start + seconds(1002)), seconds(1));
}

TEST(AwakeClockTest, what_is_to_come_has_no_age) {
  const AwakeClock::Clock::time_point start{};
  AwakeClock clock(seconds(3), start);
  EXPECT_EQ(clock.age(start + seconds(2), start + seconds(1)), seconds(0));
}

}  // namespace
}  // namespace collimate
