#include "collimate/engine/watchdog_rule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/engine/start_watch.hpp"

namespace collimate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

const WatchdogLimits kLimits = WatchdogLimits::of(seconds(100));

RankHealth working(const char* work, seconds ago) {
  return {.host = "node", .activity = {.work = work, .step = 7}, .action_age = ago};
}

RankHealth waiting(const char* operation, seconds ago) {
  RankHealth health = working("backward of microbatch 1", ago);
  health.activity.waiting = operation;
  return health;
}

RankHealth silent(const char* work, seconds ago) {
  RankHealth health = working(work, ago);
  health.silent_for = ago;
  return health;
}

std::string reason_of(std::vector<RankHealth> ranks) {
  return find_stuck({.ranks = std::move(ranks), .listens = true}, kLimits).value_or("none");
}

TEST(WatchdogRuleTest, a_job_that_works_is_not_stuck) {
  EXPECT_EQ(reason_of({working("forward", seconds(1)), working("forward", seconds(100))}), "none");
}

TEST(WatchdogRuleTest, own_work_without_progress_is) {
  EXPECT_EQ(reason_of({waiting("barrier", seconds(99)), working("reading the data", seconds(101))}),
            "rank 1 (node) makes no progress since 101 s, in step 7: reading the data");
}

TEST(WatchdogRuleTest, who_waits_while_another_works_is_not) {
  EXPECT_EQ(reason_of({waiting("barrier", seconds(5000)), working("saving", seconds(3))}), "none");
}

TEST(WatchdogRuleTest, ranks_that_all_wait_are_when_none_makes_progress) {
  EXPECT_EQ(reason_of({waiting("barrier", seconds(120)), waiting("receive", seconds(99))}), "none");
  EXPECT_EQ(reason_of({waiting("barrier", seconds(120)), waiting("receive", seconds(130))}),
            "every rank waits for others, and none makes progress; rank 1 (node) longest, since 130 s, in step 7: "
            "receive, in backward of microbatch 1");
}

TEST(WatchdogRuleTest, a_silent_rank_is_whatever_the_others_do) {
  EXPECT_EQ(reason_of({working("forward", seconds(1)), silent("forward", seconds(60))}), "none");
  EXPECT_THAT(
      reason_of({working("reading", seconds(400)), silent("forward", seconds(61))}),
      HasSubstr("rank 1 (node) has not been heard of for 61.0 s: it is stopped or gone. Its last word was: forward"));
}

TEST(WatchdogRuleTest, a_short_limit_is_that_of_silence_too) {
  EXPECT_EQ(WatchdogLimits::of(seconds(5)).silence, seconds(5));
  EXPECT_EQ(WatchdogLimits::of(seconds(600)).silence, seconds(60));
}

TEST(WatchdogRuleTest, without_rank_0_the_lowest_rank_speaks_first) {
  JobHealth health{.world_rank = 1, .ranks = {working("forward", seconds(1)), working("forward", seconds(1))}};
  health.store_silent_for = seconds(60);
  EXPECT_EQ(find_lost_store(health, kLimits), std::nullopt);
  health.store_silent_for = milliseconds(60001);
  EXPECT_THAT(find_lost_store(health, kLimits).value_or("none"), HasSubstr("rank 0 (node) has not been heard of"));
  health.world_rank = 2;
  EXPECT_EQ(find_lost_store(health, kLimits), std::nullopt);
  health.store_silent_for = seconds(65);
  EXPECT_NE(find_lost_store(health, kLimits), std::nullopt);
  health.world_rank = 0;
  EXPECT_EQ(find_lost_store(health, kLimits), std::nullopt);
}

TEST(WatchdogRuleTest, the_report_has_a_line_for_each_rank) {
  RankHealth unknown;
  const JobHealth health{
      .ranks = {waiting("barrier of group 'world'", seconds(90)), silent("forward", seconds(61)), unknown}};
  EXPECT_EQ(describe_stuck("why", health, kLimits),
            "the job is stuck: why\n"
            "  rank 0 (node): step 7: barrier of group 'world', in backward of microbatch 1, 90.0 s ago\n"
            "  rank 1 (node): step 7: forward, 61.0 s ago; silent for 61.0 s\n"
            "  rank 2: nothing is known here");
}

TEST(WatchdogRuleTest, the_report_of_a_large_job_has_the_oldest_actions) {
  JobHealth health;
  for (int rank = 0; rank < 100; ++rank) health.ranks.push_back(working("forward", seconds(rank < 50 ? 10 : 20)));
  health.ranks[3].action_age = seconds(300);
  const std::string text = describe_stuck("why", health, kLimits);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 33);
  EXPECT_THAT(text, HasSubstr("rank 3 (node): step 7: forward, 300 s ago"));
  EXPECT_THAT(text, Not(HasSubstr("rank 4 ")));
  EXPECT_THAT(text, HasSubstr("rank 80 "));
  EXPECT_THAT(text, HasSubstr("and 68 more ranks, which did something later"));
}

TEST(StartLimitTest, is_the_command_lines_or_the_default) {
  const auto limit = [](std::vector<std::string> overrides) { return start_limit(overrides); };
  EXPECT_EQ(limit({}), seconds(600));
  EXPECT_EQ(limit({"train.seed=3", "runtime.watchdog_seconds=5"}), seconds(5));
  EXPECT_EQ(limit({"runtime.watchdog_seconds=5", "runtime.watchdog_seconds=7"}), seconds(7));
  EXPECT_EQ(limit({"runtime.watchdog_seconds=null"}), std::nullopt);
  EXPECT_EQ(limit({"runtime.watchdog_seconds=x"}), seconds(600));
}

}  // namespace
}  // namespace collimate
