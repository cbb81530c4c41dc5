#include "collimate/comm/operation_queue.hpp"

#include <atomic>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

using namespace std::chrono_literals;

TEST(OperationQueueTest, operations_are_carried_out_in_the_order_in_which_they_were_started) {
  std::vector<int> done;
  OperationQueue queue;
  std::vector<WorkHandle> works;
  for (int i = 0; i < 100; ++i) {
    works.push_back(queue.start([&done, i](const std::stop_token&) { done.push_back(i); }));
  }
  queue.wait_until_idle();
  ASSERT_EQ(done.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
  for (const WorkHandle& work : works) EXPECT_TRUE(work->is_done());
}

TEST(OperationQueueTest, an_operation_runs_beside_the_thread_that_started_it) {
  std::atomic<bool> may_end = false;
  OperationQueue queue;
  const WorkHandle work = queue.start([&](const std::stop_token&) {
    while (!may_end) std::this_thread::sleep_for(1ms);
  });
  EXPECT_FALSE(work->is_done());
  may_end = true;
  work->wait();
  EXPECT_TRUE(work->is_done());
  work->wait();
}

TEST(OperationQueueTest, what_an_operation_throws_comes_out_where_it_is_waited_for_and_the_next_one_runs) {
  OperationQueue queue;
  const WorkHandle failing = queue.start([](const std::stop_token&) { throw Error("the link is down"); });
  bool has_run = false;
  const WorkHandle next = queue.start([&](const std::stop_token&) { has_run = true; });
  EXPECT_THROW(failing->wait(), Error);
  next->wait();
  EXPECT_TRUE(has_run);
}

TEST(OperationQueueTest, its_end_stops_what_would_wait_for_ever_and_drops_the_rest) {
  std::atomic<bool> has_begun = false;
  bool has_run = false;
  {
    OperationQueue queue;
    const WorkHandle endless = queue.start([&](const std::stop_token& stop) {
      has_begun = true;
      while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    });
    const WorkHandle next = queue.start([&](const std::stop_token&) { has_run = true; });
    while (!has_begun) std::this_thread::sleep_for(1ms);
  }
  EXPECT_FALSE(has_run);
}

}  // namespace
}  // namespace collimate
