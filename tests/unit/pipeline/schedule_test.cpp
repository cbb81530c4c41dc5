#include "collimate/pipeline/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ScheduleTest, lists_the_stages_of_a_rank) {
  const std::vector<int> rank_of_stage{0, 1, 2, 2, 1, 0};
  EXPECT_THAT(stages_of_rank(rank_of_stage, 1), ElementsAre(1, 4));
  EXPECT_THAT(stages_of_rank(rank_of_stage, 2), ElementsAre(2, 3));
  EXPECT_THAT(stages_of_rank(rank_of_stage, 3), IsEmpty());
}

TEST(ScheduleTest, activations_go_up_and_gradients_down) {
  const Schedule schedule{.num_microbatches = 1, .rank_of_stage = {0, 1, 2}, .actions = {{}, {}, {}}};
  EXPECT_EQ(peer_of(schedule, {ActionKind::kSendActivation, 1, 0}), 2);
  EXPECT_EQ(peer_of(schedule, {ActionKind::kReceiveActivation, 1, 0}), 0);
  EXPECT_EQ(peer_of(schedule, {ActionKind::kSendGradient, 1, 0}), 0);
  EXPECT_EQ(peer_of(schedule, {ActionKind::kReceiveGradient, 1, 0}), 2);
}

TEST(ScheduleTest, refuses_the_peer_of_what_has_none) {
  const Schedule schedule{.num_microbatches = 1, .rank_of_stage = {0, 1}, .actions = {{}, {}}};
  EXPECT_THROW(peer_of(schedule, {ActionKind::kForward, 0, 0}), InvariantError);
  EXPECT_THROW(peer_of(schedule, {ActionKind::kSendActivation, 1, 0}), InvariantError);
  EXPECT_THROW(peer_of(schedule, {ActionKind::kSendGradient, 0, 0}), InvariantError);
}

TEST(ScheduleTest, describes_an_action_in_words) {
  EXPECT_EQ(describe({ActionKind::kInputGradient, 1, 2}), "input gradient of stage 1, microbatch 2");
}

TEST(ScheduleTest, every_kind_is_one_of_three) {
  for (const auto& [kind, name] : enum_names<ActionKind>) {
    EXPECT_EQ(is_send(kind) + is_receive(kind) + is_compute(kind), 1) << name;
  }
}

}  // namespace
}  // namespace collimate
