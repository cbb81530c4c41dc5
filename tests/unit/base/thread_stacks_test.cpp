#include "collimate/base/thread_stacks.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

namespace collimate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A function with a name of its own, whose frame stays: what follows the wait keeps it from being a jump.
[[gnu::noinline]] int wait_in_a_function_to_be_found(std::condition_variable_any& ends, const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  ends.wait(lock, stop, [] { return false; });
  return stop.stop_requested() ? 1 : 0;
}

TEST(ThreadStacksTest, says_where_another_thread_is) {
  ThreadStacks stacks;
  std::condition_variable_any ends;
  std::jthread other([&](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "reader");
    wait_in_a_function_to_be_found(ends, stop);
  });
  std::string text;
  for (int i = 0; i < 1000 && text.find("wait_in_a_function_to_be_found") == std::string::npos; ++i) {
    text = stacks.describe(std::chrono::seconds(5));
  }
  EXPECT_THAT(text, HasSubstr("(reader)\n"));
  EXPECT_THAT(text, HasSubstr("wait_in_a_function_to_be_found(std::"));
  EXPECT_THAT(text, Not(HasSubstr("does not answer")));
}

TEST(ThreadStacksTest, a_thread_that_blocks_the_signal_is_named_in_time) {
  ThreadStacks stacks;
  std::condition_variable_any ends;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::jthread other([&](const std::stop_token& stop) { wait_in_a_function_to_be_found(ends, stop); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(stacks.describe(std::chrono::milliseconds(50)), HasSubstr("does not answer"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace collimate
