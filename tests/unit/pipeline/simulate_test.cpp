#include "collimate/pipeline/simulate.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"
#include "collimate/pipeline/validate.hpp"
#include "support/schedules.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Timeline evenly_timed(const ScheduleOptions& options) {
  const Schedule schedule = lowered_schedule(options);
  return simulate(schedule, even_costs(schedule.num_stages()));
}

/// The timed compute actions of a rank.
std::vector<TimedAction> computed(const Timeline& timeline, int pp_rank) {
  std::vector<TimedAction> computed;
  std::ranges::copy_if(timeline.actions[pp_rank], std::back_inserter(computed),
                       [](const TimedAction& timed) { return is_compute(timed.action.kind); });
  return computed;
}

TEST(SimulateTest, times_two_ranks_and_two_microbatches) {
  Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 2, 1, 2});
  const StageCosts costs{
      .forward = {1, 2}, .input_gradient = {3, 4}, .weight_gradient = {5, 6}, .message_latency = 0.5};
  const Timeline timeline = simulate(schedule, costs);
  // Rank 1: F1.0 from 1.5, B1.0 from 3.5, F1.1 from 13.5, B1.1 from 15.5 to 25.5; rank 0: B0.0 from 14, B0.1 from 26.
  std::vector<double> begins;
  for (int pp_rank : {0, 1}) {
    for (const TimedAction& timed : computed(timeline, pp_rank)) begins.push_back(timed.begin);
  }
  EXPECT_THAT(begins, ElementsAre(0, 1, 14, 26, 1.5, 3.5, 13.5, 15.5));
  EXPECT_DOUBLE_EQ(timeline.begin, 0);
  EXPECT_DOUBLE_EQ(timeline.span, 34);
  EXPECT_THAT(timeline.busy, ElementsAre(18, 24));
  EXPECT_DOUBLE_EQ(timeline.bubble, 10.0 / 24);
  EXPECT_THAT(timeline.peak_live_activations, ElementsAre(2, 1));
}

TEST(SimulateTest, messages_end_when_they_arrive) {
  const Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 2, 1, 1});
  StageCosts costs = even_costs(2);
  costs.message_latency = 0.25;
  const Timeline timeline = simulate(schedule, costs);
  EXPECT_EQ(short_form(schedule.actions[0]), "RG0.0 F0.0 SA0.0 B0.0");
  const auto& actions = timeline.actions[0];
  EXPECT_DOUBLE_EQ(actions[0].begin, 0);
  EXPECT_DOUBLE_EQ(actions[0].end, 1.25 + 3 + 0.25);
  EXPECT_DOUBLE_EQ(actions[2].begin, 1);
  EXPECT_DOUBLE_EQ(actions[2].end, 1.25);
  EXPECT_DOUBLE_EQ(actions[3].begin, 4.5);
  EXPECT_DOUBLE_EQ(timeline.actions[1][0].end, 1.25);
}

TEST(SimulateTest, the_timeline_has_the_actions_of_the_schedule) {
  const Schedule schedule = lowered_schedule({ScheduleType::kZbv, 3, 2, 8});
  const Timeline timeline = simulate(schedule, even_costs(6));
  ASSERT_EQ(timeline.actions.size(), schedule.actions.size());
  for (std::size_t pp_rank = 0; pp_rank < schedule.actions.size(); ++pp_rank) {
    EXPECT_TRUE(std::ranges::equal(timeline.actions[pp_rank], schedule.actions[pp_rank], {}, &TimedAction::action));
  }
}

TEST(SimulateTest, no_microbatches_take_no_time) {
  const Timeline timeline = evenly_timed({ScheduleType::k1f1b, 3, 1, 0});
  EXPECT_EQ(timeline.span, 0);
  EXPECT_EQ(timeline.bubble, 0);
}

TEST(SimulateTest, refuses_to_wait_forever) {
  const Schedule compute = generate_schedule({ScheduleType::k1f1b, 2, 1, 2});
  EXPECT_THAT([&] { simulate(compute, even_costs(2)); },
              throws<InvariantError>(AllOf(HasSubstr("rank 0 at action 2 (backward of stage 0, microbatch 0)"),
                                           HasSubstr("rank 1 at action 0 (forward of stage 1, microbatch 0)"))));
}

TEST(SimulateTest, refuses_costs_of_other_stages) {
  const Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 2, 1, 2});
  EXPECT_THROW(simulate(schedule, even_costs(3)), InvariantError);
}

// The closed forms, for forward : input gradient : weight gradient = 1 : 1 : 1 and messages that take no time.

TEST(BubbleTest, of_gpipe_and_1f1b_is_the_later_ranks_over_microbatches) {
  for (const ScheduleType type : {ScheduleType::kGpipe, ScheduleType::k1f1b}) {
    for (int p = 1; p <= 8; ++p) {
      for (int m = 1; m <= 3 * p; ++m) {
        EXPECT_DOUBLE_EQ(evenly_timed({type, p, 1, m}).bubble, (p - 1.0) / m)
            << enum_name(type) << " " << p << " " << m;
      }
    }
  }
}

TEST(BubbleTest, of_interleaved_is_divided_by_the_stages_of_a_rank) {
  for (int p = 1; p <= 8; ++p) {
    for (int v = 1; v <= 4; ++v) {
      for (int m = p; m <= 4 * p; m += p) {
        EXPECT_DOUBLE_EQ(evenly_timed({ScheduleType::kInterleaved, p, v, m}).bubble, (p - 1.0) / (v * m))
            << p << " " << v << " " << m;
      }
    }
  }
}

TEST(BubbleTest, of_interleaved_hides_latency_but_on_the_way_there_and_back) {
  for (int p = 2; p <= 8; p += 2) {
    for (int v = 2; v <= 4; ++v) {
      const Schedule schedule = lowered_schedule({ScheduleType::kInterleaved, p, v, 4 * p});
      StageCosts costs = even_costs(p * v);
      const double span = simulate(schedule, costs).span;
      costs.message_latency = 0.5;
      EXPECT_DOUBLE_EQ(simulate(schedule, costs).span, span + 2 * (p * v - 1) * 0.5) << p << " " << v;
    }
  }
}

TEST(BubbleTest, of_zb_h1_is_a_third_of_1f1b) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = p; m <= 4 * p + 1; ++m) {
      EXPECT_DOUBLE_EQ(evenly_timed({ScheduleType::kZbH1, p, 1, m}).bubble, (p - 1.0) / (3 * m)) << p << " " << m;
    }
  }
}

TEST(BubbleTest, of_zbv_is_the_way_to_the_last_rank_alone) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = 3 * p / 2; m <= 4 * p + 1; ++m) {
      EXPECT_DOUBLE_EQ(evenly_timed({ScheduleType::kZbv, p, 2, m}).bubble, (p - 1.0) / (6 * m)) << p << " " << m;
    }
    EXPECT_DOUBLE_EQ(evenly_timed({ScheduleType::kZbv, p, 2, p}).bubble, (p - 1.0) / (6 * p)) << p;
  }
}

TEST(BubbleTest, of_split_types_is_never_above_1f1b) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = 1; m <= 3 * p; ++m) {
      EXPECT_LE(evenly_timed({ScheduleType::kZbH1, p, 1, m}).bubble, (p - 1.0) / m + 1e-12) << p << " " << m;
      EXPECT_LE(evenly_timed({ScheduleType::kZbv, p, 2, m}).bubble, (p - 1.0) / m + 1e-12) << p << " " << m;
    }
  }
}

// What must hold of any schedule, whatever its sizes and costs.

struct RandomCase {
  ScheduleOptions options;
  StageCosts costs;
};

RandomCase random_case(std::uint64_t index) {
  const RandomStream stream(7, "simulate_test", index);
  std::uint64_t n = 0;
  const auto below = [&](std::uint64_t bound) { return static_cast<int>(stream.below(n++, bound)); };
  const auto time = [&] { return 0.01 + 1e-3 * below(1000); };
  RandomCase random;
  random.options.type = kAllScheduleTypes[below(std::size(kAllScheduleTypes))];
  random.options.num_ranks = 1 + below(8);
  random.options.virtual_stages = virtual_stages_for(random.options.type, 1 + below(4));
  random.options.num_microbatches = below(25);
  for (int stage = 0; stage < random.options.num_ranks * random.options.virtual_stages; ++stage) {
    random.costs.forward.push_back(time());
    random.costs.input_gradient.push_back(time());
    random.costs.weight_gradient.push_back(time());
  }
  random.costs.message_latency = below(2) == 0 ? 0 : time();
  return random;
}

/// A rank does one thing at a time, and is busy for as long as its stages take.
void expect_sound(const Timeline& timeline, const Schedule& schedule, const StageCosts& costs) {
  for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) {
    double expected = 0;
    for (const int stage : stages_of_rank(schedule.rank_of_stage, pp_rank)) {
      expected += schedule.num_microbatches *
                  (costs.forward[stage] + costs.input_gradient[stage] + costs.weight_gradient[stage]);
    }
    EXPECT_NEAR(timeline.busy[pp_rank], expected, 1e-9);
    EXPECT_LE(timeline.busy[pp_rank], timeline.span + 1e-9);
    double free_at = 0;
    for (const TimedAction& timed : computed(timeline, pp_rank)) {
      EXPECT_GE(timed.begin, free_at);
      free_at = timed.end;
    }
  }
}

TEST(RandomScheduleTest, is_valid_within_its_bound_and_comes_to_the_end) {
  for (std::uint64_t index = 0; index < 300; ++index) {
    const RandomCase random = random_case(index);
    const auto& [type, p, v, m] = random.options;
    SCOPED_TRACE(fmt::format("{} {} {} {}", enum_name(type), p, v, m));
    const Schedule schedule = lowered_schedule(random.options);
    ASSERT_NO_THROW(validate_schedule(schedule, random.options));
    expect_sound(simulate(schedule, random.costs), schedule, random.costs);
  }
}

}  // namespace
}  // namespace collimate
