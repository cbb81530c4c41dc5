#include "collimate/engine/job_stop.hpp"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/local_notices.hpp"
#include "support/thread_world.hpp"

namespace collimate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(JobStopTest, a_rank_hears_of_another_ranks_signal_and_tells_whose_it_was) {
  LocalNotices notices;
  const StopSignal signal;
  JobStop own(signal, notices, 2, 60.0);
  EXPECT_EQ(own.own(), StopKind::kNone);
  EXPECT_EQ(own.heard(), StopKind::kNone);
  notices.publish("stop", "10 1700000000000000000 rank 5 (node 7)");
  EXPECT_EQ(own.own(), StopKind::kNone);
  EXPECT_EQ(own.heard(), StopKind::kPreemption);
  EXPECT_EQ(own.cause(), "SIGUSR1 on rank 5 (node 7)");
  EXPECT_GT(own.seconds_since(), 1.0e6);
}

TEST(JobStopTest, the_first_signal_is_told_with_what_is_left_of_the_grace_time) {
  LocalNotices notices;
  const StopSignal signal;
  JobStop stop(signal, notices, 2, 60.0);
  std::raise(SIGTERM);
  EXPECT_EQ(stop.own(), StopKind::kPreemption);
  notices.publish("stop", "2 1700000000000000000 rank 5 (node 7)");
  EXPECT_THAT(stop.cause(), StartsWith("SIGTERM on rank 2 ("));
  EXPECT_THAT(stop.account(), HasSubstr(" s of runtime.grace_seconds left"));
  EXPECT_LT(stop.seconds_since(), 30.0);
}

TEST(JobStopTest, a_request_that_cannot_be_read_stops_nobody) {
  for (const char* text : {"", " ", "10", "10 17", "x 17 rank 5", "10 x rank 5", "99999999999 17 rank 5",
                           "10 17x rank 5", "10 99999999999999999999 rank 5"}) {
    LocalNotices notices;
    const StopSignal signal;
    JobStop stop(signal, notices, 2, 60.0);
    notices.publish("stop", text);
    EXPECT_EQ(stop.heard(), StopKind::kNone) << text;
    EXPECT_EQ(stop.cause(), "a signal on another rank") << text;
    std::raise(SIGTERM);
    EXPECT_EQ(stop.heard(), StopKind::kPreemption) << text;
    EXPECT_THAT(stop.cause(), StartsWith("SIGTERM on rank 2 (")) << text;
    EXPECT_THAT(stop.account(), HasSubstr("left")) << text;
  }
}

TEST(JobStopTest, an_interrupt_has_no_grace_time) {
  LocalNotices notices;
  const StopSignal signal;
  JobStop stop(signal, notices, 0, 60.0);
  std::raise(SIGINT);
  EXPECT_EQ(stop.own(), StopKind::kInterrupt);
  EXPECT_THAT(stop.account(), ::testing::Not(HasSubstr("grace")));
}

TEST(StopVotesTest, an_interrupt_counts_more_than_any_number_of_preemptions) {
  EXPECT_EQ(StopVotes::read(std::array{0.0, 0.0}), StopKind::kNone);
  EXPECT_EQ(StopVotes::read(std::array{7.0, 0.0}), StopKind::kPreemption);
  EXPECT_EQ(StopVotes::read(std::array{7.0, 1.0}), StopKind::kInterrupt);
  EXPECT_EQ(StopVotes::of(StopKind::kPreemption), (std::array{1.0, 0.0}));
  EXPECT_EQ(exit_code_of(StopKind::kPreemption), ExitCode::kPreempted);
  EXPECT_EQ(exit_code_of(StopKind::kInterrupt), ExitCode::kInterrupted);
}

TEST(StopPollTest, all_ranks_hear_what_any_has_answered_a_turn_later) {
  run_as_threads(3, [](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    StopKind answer = StopKind::kNone;
    StopPoll poll([&answer] { return answer; }, *world, at::kCPU);
    EXPECT_EQ(poll.next(), StopKind::kNone);
    if (world->rank() == 1) answer = StopKind::kPreemption;
    EXPECT_EQ(poll.next(), StopKind::kNone);
    EXPECT_EQ(poll.next(), StopKind::kPreemption);
    if (world->rank() == 2) answer = StopKind::kInterrupt;
    EXPECT_EQ(poll.next(), StopKind::kPreemption);
    EXPECT_EQ(poll.next(), StopKind::kInterrupt);
  });
}

TEST(StopPollTest, without_a_question_nothing_is_sent) {
  run_as_threads(2, [](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    StopPoll poll({}, *world, at::kCPU);
    if (world->rank() == 1) return;
    EXPECT_EQ(poll.next(), StopKind::kNone);
  });
}

}  // namespace
}  // namespace collimate
