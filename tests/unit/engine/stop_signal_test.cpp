#include "collimate/engine/stop_signal.hpp"

#include <csignal>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

class StopSignalTest : public ::testing::TestWithParam<int> {};

TEST_P(StopSignalTest, notes_the_first_signal_and_gives_the_handler_back) {
  std::signal(GetParam(), SIG_IGN);
  {
    const StopSignal stop;
    EXPECT_FALSE(stop.received());
    const auto before = std::chrono::system_clock::now();
    std::raise(GetParam());
    const auto first = stop.received();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->number, GetParam());
    EXPECT_GE(first->at, before);
    EXPECT_LE(first->at, std::chrono::system_clock::now());
    for (const int second : {SIGINT, SIGTERM}) std::raise(second);
    EXPECT_EQ(stop.received()->number, GetParam());
    EXPECT_EQ(stop.received()->at, first->at);
    EXPECT_THROW(StopSignal(), InvariantError);
  }
  EXPECT_EQ(std::signal(GetParam(), SIG_DFL), SIG_IGN);
  const StopSignal fresh;
  EXPECT_FALSE(fresh.received());
}

INSTANTIATE_TEST_SUITE_P(all, StopSignalTest, ::testing::Values(SIGINT, SIGTERM, SIGUSR1, SIGUSR2),
                         [](const auto& signal) { return std::string(signal_name(signal.param)); });

TEST(StopKindTest, only_the_keyboard_interrupts) {
  EXPECT_EQ(stop_kind(SIGINT), StopKind::kInterrupt);
  for (const int signal : {SIGTERM, SIGUSR1, SIGUSR2}) EXPECT_EQ(stop_kind(signal), StopKind::kPreemption);
}

}  // namespace
}  // namespace collimate
