#include "collimate/pipeline/validate.hpp"

#include <algorithm>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/schedules.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Kind = ActionKind;

// RA1.0 F1.0 RA1.1 B1.0 SG1.0 F1.1 B1.1 SG1.1 on rank 1, F0.0 SA0.0 RG0.0 F0.1 SA0.1 RG0.1 B0.0 B0.1 on rank 0.
class ValidateScheduleTest : public ::testing::Test {
 protected:
  static constexpr ScheduleOptions kOptions{ScheduleType::k1f1b, 2, 1, 2};

  std::vector<Action>::iterator find(int pp_rank, const Action& action) {
    auto& actions = schedule_.actions[pp_rank];
    const auto found = std::ranges::find(actions, action);
    check(found != actions.end(), "the test's schedule has the action");
    return found;
  }
  void erase(int pp_rank, const Action& action) { schedule_.actions[pp_rank].erase(find(pp_rank, action)); }
  void swap(int pp_rank, const Action& one, const Action& other) {
    std::iter_swap(find(pp_rank, one), find(pp_rank, other));
  }
  template <class Matcher>
  void expect_refused(const Matcher& message) const {
    EXPECT_THAT([&] { validate_schedule(schedule_); }, throws<InvariantError>(message));
  }

  Schedule schedule_ = lowered_schedule(kOptions);
};

TEST_F(ValidateScheduleTest, accepts_what_was_generated) {
  EXPECT_NO_THROW(validate_schedule(schedule_));
  EXPECT_NO_THROW(validate_schedule(schedule_, kOptions));
}

TEST_F(ValidateScheduleTest, refuses_a_missing_forward) {
  erase(1, {Kind::kForward, 1, 1});
  expect_refused(AllOf(HasSubstr("rank 1: stage 1, microbatch 1"), HasSubstr("0 forwards, 1 backwards")));
}

TEST_F(ValidateScheduleTest, refuses_a_second_forward) {
  schedule_.actions[0].push_back({Kind::kForward, 0, 1});
  expect_refused(AllOf(HasSubstr("rank 0: stage 0, microbatch 1"), HasSubstr("2 forwards")));
}

TEST_F(ValidateScheduleTest, refuses_a_missing_backward) {
  erase(0, {Kind::kBackward, 0, 1});
  expect_refused(AllOf(HasSubstr("rank 0: stage 0, microbatch 1"), HasSubstr("0 backwards")));
}

TEST_F(ValidateScheduleTest, refuses_a_missing_weight_gradient) {
  schedule_ = lowered_schedule({ScheduleType::kZbH1, 2, 1, 2});
  erase(0, {Kind::kWeightGradient, 0, 0});
  expect_refused(AllOf(HasSubstr("rank 0: stage 0, microbatch 0"), HasSubstr("0 weight gradients")));
}

TEST_F(ValidateScheduleTest, refuses_a_backward_both_whole_and_split) {
  schedule_.actions[0].push_back({Kind::kWeightGradient, 0, 1});
  expect_refused(AllOf(HasSubstr("rank 0: stage 0, microbatch 1"), HasSubstr("1 weight gradients")));
}

TEST_F(ValidateScheduleTest, takes_split_and_whole_backwards_side_by_side) {
  *find(0, {Kind::kBackward, 0, 1}) = {Kind::kInputGradient, 0, 1};
  schedule_.actions[0].push_back({Kind::kWeightGradient, 0, 1});
  EXPECT_NO_THROW(validate_schedule(schedule_));
}

TEST_F(ValidateScheduleTest, refuses_numbers_beyond_the_schedule) {
  *find(1, {Kind::kForward, 1, 1}) = {Kind::kForward, 1, 2};
  expect_refused(HasSubstr("rank 1, action 5 (forward of stage 1, microbatch 2): there are 2 microbatches"));
  schedule_.actions[1][5] = {Kind::kForward, 2, 1};
  expect_refused(HasSubstr("there are 2 stages"));
}

TEST_F(ValidateScheduleTest, refuses_a_stage_on_a_rank_that_is_not_there) {
  schedule_.rank_of_stage[1] = 2;
  expect_refused(HasSubstr("stage 1 lies on rank 2, but there are lists for 2 ranks"));
}

TEST_F(ValidateScheduleTest, refuses_an_action_on_another_rank) {
  schedule_.actions[1].insert(schedule_.actions[1].begin(), {Kind::kForward, 0, 0});
  expect_refused(HasSubstr("rank 1, action 0 (forward of stage 0, microbatch 0): rank 0 holds the stage"));
}

TEST_F(ValidateScheduleTest, refuses_a_backward_before_its_forward) {
  swap(1, {Kind::kForward, 1, 0}, {Kind::kBackward, 1, 0});
  expect_refused(
      HasSubstr("rank 1, action 1 (backward of stage 1, microbatch 0): the output of stage 1, microbatch 0 is "
                "not made before it"));
}

TEST_F(ValidateScheduleTest, refuses_a_weight_gradient_before_its_input_gradient) {
  schedule_ = lowered_schedule({ScheduleType::kZbH1, 2, 1, 1});
  swap(0, {Kind::kInputGradient, 0, 0}, {Kind::kWeightGradient, 0, 0});
  expect_refused(HasSubstr("weight gradient of stage 0, microbatch 0): the gradient of the input of stage 0"));
}

TEST_F(ValidateScheduleTest, refuses_a_send_before_the_data_is_made) {
  swap(1, {Kind::kBackward, 1, 1}, {Kind::kSendGradient, 1, 1});
  expect_refused(
      HasSubstr("send gradient of stage 1, microbatch 1): the gradient of the input of stage 1, microbatch 1 "
                "is not made"));
}

TEST_F(ValidateScheduleTest, refuses_a_receive_behind_its_use) {
  swap(1, {Kind::kReceiveActivation, 1, 1}, {Kind::kForward, 1, 1});
  expect_refused(HasSubstr("(forward of stage 1, microbatch 1): the output of stage 0, microbatch 1 is not received"));
}

TEST_F(ValidateScheduleTest, refuses_a_missing_receive) {
  erase(0, {Kind::kReceiveGradient, 0, 0});
  expect_refused(
      HasSubstr("(backward of stage 0, microbatch 0): the gradient of the input of stage 1, microbatch 0 is not "
                "received"));
}

TEST_F(ValidateScheduleTest, refuses_a_missing_send) {
  erase(0, {Kind::kSendActivation, 0, 1});
  expect_refused(AllOf(HasSubstr("rank 0 sends 1 messages to rank 1, which receives 2"),
                       HasSubstr("the output of stage 0, microbatch 1 is left over")));
}

TEST_F(ValidateScheduleTest, refuses_compute_actions_without_messages) {
  schedule_ = generate_schedule(kOptions);
  expect_refused(HasSubstr("is not received"));
}

TEST_F(ValidateScheduleTest, refuses_receives_in_another_order_than_the_sends) {
  const Action first{Kind::kSendActivation, 0, 0};
  const Action second{Kind::kSendActivation, 0, 1};
  erase(0, first);
  schedule_.actions[0].insert(find(0, second) + 1, first);
  expect_refused(
      HasSubstr("message 0 from rank 0 to rank 1: sent is the output of stage 0, microbatch 1, received the "
                "output of stage 0, microbatch 0"));
}

TEST_F(ValidateScheduleTest, refuses_a_message_within_a_rank) {
  schedule_ = generate_schedule({ScheduleType::kZbv, 1, 2, 1});
  schedule_.actions[0].push_back({Kind::kSendActivation, 0, 0});
  expect_refused(HasSubstr("(send activation of stage 0, microbatch 0): no stage of another rank is at the other end"));
}

TEST_F(ValidateScheduleTest, refuses_a_message_beyond_the_last_stage) {
  schedule_.actions[1].push_back({Kind::kReceiveGradient, 1, 0});
  expect_refused(HasSubstr("no stage of another rank is at the other end"));
}

TEST_F(ValidateScheduleTest, refuses_ranks_that_wait_for_each_other) {
  // Rank 0 wants microbatch 0 back before it sends microbatch 1, which rank 1 wants first.
  const auto whole = [](int stage, int microbatch) {
    return std::vector<Action>{{Kind::kForward, stage, microbatch}, {Kind::kBackward, stage, microbatch}};
  };
  Schedule compute{.num_microbatches = 2, .rank_of_stage = {0, 1}, .actions = {whole(0, 0), whole(1, 1)}};
  for (const Action& action : whole(0, 1)) compute.actions[0].push_back(action);
  for (const Action& action : whole(1, 0)) compute.actions[1].push_back(action);
  schedule_ = add_messages(compute);
  expect_refused(AllOf(HasSubstr("deadlock"), HasSubstr("(backward of stage 0, microbatch 0)"),
                       HasSubstr("(forward of stage 1, microbatch 1)")));
}

TEST_F(ValidateScheduleTest, refuses_forwards_alone_with_one_backward) {
  schedule_ = add_messages(forward_schedule({0, 0}, 2));
  EXPECT_NO_THROW(validate_schedule(schedule_));
  schedule_.actions[0].push_back({Kind::kBackward, 1, 0});
  expect_refused(HasSubstr("either one backward or one input and one weight gradient"));
}

TEST_F(ValidateScheduleTest, refuses_more_activations_than_the_type_allows) {
  const Schedule gpipe = lowered_schedule({ScheduleType::kGpipe, 2, 1, 4});
  EXPECT_NO_THROW(validate_schedule(gpipe));
  EXPECT_THAT([&] { validate_schedule(gpipe, {ScheduleType::k1f1b, 2, 1, 4}); },
              throws<InvariantError>(HasSubstr("rank 0 keeps 4 activations, beyond the bound of 1f1b, which is 2")));
}

TEST_F(ValidateScheduleTest, refuses_another_placement_or_size_than_asked_for) {
  EXPECT_THROW(validate_schedule(schedule_, {ScheduleType::k1f1b, 2, 1, 3}), InvariantError);
  EXPECT_THROW(validate_schedule(schedule_, {ScheduleType::k1f1b, 3, 1, 2}), InvariantError);
}

TEST(ActivationBoundTest, is_reached_when_there_are_microbatches_enough) {
  for (const ScheduleType type : kAllScheduleTypes) {
    for (int num_ranks = 1; num_ranks <= 8; ++num_ranks) {
      const ScheduleOptions options{type, num_ranks, virtual_stages_for(type, 3), 4 * num_ranks};
      const Schedule schedule = generate_schedule(options);
      for (int pp_rank = 0; pp_rank < num_ranks; ++pp_rank) {
        EXPECT_EQ(peak_live_activations(schedule, pp_rank), activation_bound(options, pp_rank))
            << enum_name(type) << " " << pp_rank << " of " << num_ranks;
      }
    }
  }
}

TEST(ActivationBoundTest, has_its_closed_form) {
  EXPECT_EQ(activation_bound({ScheduleType::kGpipe, 4, 1, 9}, 3), 9);
  EXPECT_EQ(activation_bound({ScheduleType::k1f1b, 4, 1, 9}, 1), 3);
  EXPECT_EQ(activation_bound({ScheduleType::k1f1b, 4, 1, 2}, 1), 2);
  EXPECT_EQ(activation_bound({ScheduleType::kInterleaved, 4, 2, 9}, 0), 11);
  EXPECT_EQ(activation_bound({ScheduleType::kInterleaved, 4, 2, 3}, 0), 6);
  EXPECT_EQ(activation_bound({ScheduleType::kZbH1, 4, 1, 9}, 3), 4);
  EXPECT_EQ(activation_bound({ScheduleType::kZbv, 4, 2, 9}, 3), 8);
  EXPECT_EQ(activation_bound({ScheduleType::kZbv, 4, 2, 3}, 3), 6);
}

}  // namespace
}  // namespace collimate
