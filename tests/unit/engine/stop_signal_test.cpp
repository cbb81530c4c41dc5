#include "collimate/engine/stop_signal.hpp"

#include <csignal>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

TEST(StopSignalTest, notices_an_interrupt_and_gives_the_handler_back) {
  std::signal(SIGINT, SIG_IGN);
  {
    const StopSignal stop;
    EXPECT_FALSE(stop.is_requested());
    std::raise(SIGINT);
    EXPECT_TRUE(stop.is_requested());
    EXPECT_THROW(StopSignal(), InvariantError);
  }
  EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_IGN);
  const StopSignal fresh;
  EXPECT_FALSE(fresh.is_requested());
}

}  // namespace
}  // namespace collimate
