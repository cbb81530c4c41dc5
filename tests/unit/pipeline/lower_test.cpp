#include "collimate/pipeline/lower.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/pipeline/validate.hpp"
#include "support/schedules.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::HasSubstr;

/// Forwards alone on two ranks of one stage each; rank 1 takes microbatches in the given order.
Schedule forwards(const std::vector<int>& order) {
  Schedule schedule{.num_microbatches = static_cast<int>(order.size()), .rank_of_stage = {0, 1}, .actions = {{}, {}}};
  for (int microbatch = 0; microbatch < std::ssize(order); ++microbatch) {
    schedule.actions[0].push_back({ActionKind::kForward, 0, microbatch});
    schedule.actions[1].push_back({ActionKind::kForward, 1, order[microbatch]});
  }
  return schedule;
}

TEST(AddMessagesTest, sends_at_once_and_receives_one_action_ahead) {
  const Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 2, 1, 2});
  EXPECT_EQ(short_form(schedule.actions[0]), "F0.0 SA0.0 RG0.0 F0.1 SA0.1 RG0.1 B0.0 B0.1");
  EXPECT_EQ(short_form(schedule.actions[1]), "RA1.0 F1.0 RA1.1 B1.0 SG1.0 F1.1 B1.1 SG1.1");
}

TEST(AddMessagesTest, weight_gradients_send_nothing) {
  const Schedule schedule = lowered_schedule({ScheduleType::kZbH1, 2, 1, 1});
  EXPECT_EQ(short_form(schedule.actions[1]), "RA1.0 F1.0 I1.0 SG1.0 W1.0");
}

TEST(AddMessagesTest, receives_in_the_order_of_sending) {
  const Schedule schedule = add_messages(forwards({1, 2, 0}));
  EXPECT_EQ(short_form(schedule.actions[1]), "RA1.0 RA1.1 RA1.2 F1.1 F1.2 F1.0");
  EXPECT_NO_THROW(validate_schedule(schedule));
}

TEST(AddMessagesTest, does_not_receive_long_before_the_need) {
  EXPECT_EQ(short_form(add_messages(forwards({0, 1, 2})).actions[1]), "RA1.0 RA1.1 F1.0 RA1.2 F1.1 F1.2");
}

TEST(AddMessagesTest, stages_of_one_rank_need_no_messages) {
  for (const ScheduleType type : kAllScheduleTypes) {
    const Schedule alone = generate_schedule({type, 1, virtual_stages_for(type, 3), 4});
    EXPECT_EQ(add_messages(alone), alone) << enum_name(type);
  }
  for (const auto& actions : lowered_schedule({ScheduleType::kZbv, 2, 2, 5}).actions) {
    for (const Action& action : actions) {
      const bool is_turn = action.kind == ActionKind::kSendActivation && action.stage == 1;
      EXPECT_FALSE(is_turn) << describe(action);
    }
  }
}

TEST(AddMessagesTest, leaves_the_compute_actions_as_they_are) {
  for (const ScheduleType type : kAllScheduleTypes) {
    const Schedule compute = generate_schedule({type, 3, virtual_stages_for(type, 2), 7});
    Schedule schedule = add_messages(compute);
    for (auto& actions : schedule.actions) {
      std::erase_if(actions, [](const Action& action) { return !is_compute(action.kind); });
    }
    EXPECT_EQ(schedule, compute) << enum_name(type);
  }
}

TEST(AddMessagesTest, refuses_messages_that_are_there_already) {
  const Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 2, 1, 2});
  EXPECT_THAT([&] { add_messages(schedule); }, throws<InvariantError>(HasSubstr("compute actions alone")));
}

TEST(AddMessagesTest, refuses_data_that_nothing_needs) {
  Schedule schedule = forwards({0, 1});
  schedule.actions[1].pop_back();
  EXPECT_THAT([&] { add_messages(schedule); },
              throws<InvariantError>(HasSubstr("nothing needs the output of stage 0, microbatch 1")));
}

}  // namespace
}  // namespace collimate
