#include "collimate/pipeline/generate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/pipeline/validate.hpp"
#include "support/schedules.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The lists of all ranks in short form.
std::vector<std::string> lists_of(const Schedule& schedule) {
  std::vector<std::string> lists;
  for (const auto& actions : schedule.actions) lists.push_back(short_form(actions));
  return lists;
}

std::vector<std::string> lists_of(ScheduleType type, int num_ranks, int virtual_stages, int num_microbatches) {
  return lists_of(generate_schedule({type, num_ranks, virtual_stages, num_microbatches}));
}

TEST(PlaceStagesTest, gives_stages_out_in_turn) {
  EXPECT_THAT(place_stages(ScheduleType::k1f1b, 3, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(place_stages(ScheduleType::kInterleaved, 2, 3), ElementsAre(0, 1, 0, 1, 0, 1));
}

TEST(PlaceStagesTest, zbv_goes_back_from_the_last_rank) {
  EXPECT_THAT(place_stages(ScheduleType::kZbv, 3, 2), ElementsAre(0, 1, 2, 2, 1, 0));
  EXPECT_THAT(place_stages(ScheduleType::kZbv, 1, 2), ElementsAre(0, 0));
}

TEST(PlaceStagesTest, refuses_stages_that_the_type_does_not_take) {
  EXPECT_THAT([] { place_stages(ScheduleType::k1f1b, 2, 2); },
              throws<InputError>(AllOf(HasSubstr("parallel.virtual_stages: 2"), HasSubstr("1f1b has one stage"))));
  EXPECT_THAT([] { place_stages(ScheduleType::kZbv, 2, 1); }, throws<InputError>(HasSubstr("zbv has two stages")));
  EXPECT_THROW(place_stages(ScheduleType::kInterleaved, 0, 1), InvariantError);
}

TEST(GenerateScheduleTest, gpipe_goes_forward_with_all_first) {
  EXPECT_THAT(lists_of(ScheduleType::kGpipe, 2, 1, 2), ElementsAre("F0.0 F0.1 B0.0 B0.1", "F1.0 F1.1 B1.0 B1.1"));
}

TEST(GenerateScheduleTest, one_forward_one_backward_after_the_warm_up) {
  EXPECT_THAT(lists_of(ScheduleType::k1f1b, 2, 1, 3),
              ElementsAre("F0.0 F0.1 B0.0 F0.2 B0.1 B0.2", "F1.0 B1.0 F1.1 B1.1 F1.2 B1.2"));
}

TEST(GenerateScheduleTest, interleaved_takes_groups_of_microbatches_through_its_stages) {
  EXPECT_THAT(lists_of(ScheduleType::kInterleaved, 2, 2, 2),
              ElementsAre("F0.0 F0.1 F2.0 F2.1 B2.0 B2.1 B0.0 B0.1", "F1.0 F1.1 F3.0 B3.0 F3.1 B3.1 B1.0 B1.1"));
}

TEST(GenerateScheduleTest, a_partial_group_is_a_whole_one_without_the_rest) {
  const Schedule partial = generate_schedule({ScheduleType::kInterleaved, 4, 3, 9});
  Schedule whole = generate_schedule({ScheduleType::kInterleaved, 4, 3, 12});
  for (auto& actions : whole.actions) {
    std::erase_if(actions, [](const Action& action) { return action.microbatch >= 9; });
  }
  EXPECT_EQ(partial.actions, whole.actions);
}

TEST(GenerateScheduleTest, zb_h1_puts_weight_gradients_off_by_the_rank) {
  EXPECT_THAT(lists_of(ScheduleType::kZbH1, 2, 1, 3), ElementsAre("F0.0 F0.1 I0.0 W0.0 F0.2 I0.1 W0.1 I0.2 W0.2",
                                                                  "F1.0 I1.0 F1.1 I1.1 W1.0 F1.2 I1.2 W1.1 W1.2"));
}

TEST(GenerateScheduleTest, zbv_fills_every_gap_of_two_ranks) {
  EXPECT_THAT(lists_of(ScheduleType::kZbv, 2, 2, 3),
              ElementsAre("F0.0 F0.1 F0.2 F3.0 I3.0 W3.0 F3.1 I3.1 W3.1 I0.0 W0.0 F3.2 I3.2 W3.2 I0.1 W0.1 I0.2 W0.2",
                          "F1.0 F2.0 F1.1 F2.1 I2.0 W2.0 F1.2 I1.0 W1.0 F2.2 I2.1 W2.1 I1.1 I2.2 I1.2 W1.1 W2.2 W1.2"));
}

TEST(GenerateScheduleTest, one_rank_goes_through_its_stages_in_order) {
  EXPECT_THAT(lists_of(ScheduleType::k1f1b, 1, 1, 2), ElementsAre("F0.0 B0.0 F0.1 B0.1"));
  EXPECT_THAT(lists_of(ScheduleType::kInterleaved, 1, 2, 1), ElementsAre("F0.0 F1.0 B1.0 B0.0"));
  EXPECT_THAT(lists_of(ScheduleType::kZbv, 1, 2, 1), ElementsAre("F0.0 F1.0 I1.0 I0.0 W0.0 W1.0"));
}

TEST(GenerateScheduleTest, no_microbatches_are_empty_lists) {
  for (const ScheduleType type : kAllScheduleTypes) {
    const Schedule schedule = generate_schedule({type, 3, virtual_stages_for(type, 2), 0});
    EXPECT_THAT(schedule.actions, AllOf(::testing::SizeIs(3), Each(IsEmpty()))) << enum_name(type);
    EXPECT_NO_THROW(validate_schedule(add_messages(schedule)));
  }
}

TEST(GenerateScheduleTest, refuses_a_negative_number_of_microbatches) {
  EXPECT_THROW(generate_schedule({ScheduleType::k1f1b, 2, 1, -1}), InvariantError);
}

TEST(ForwardScheduleTest, takes_the_deepest_stage_that_is_ready) {
  EXPECT_THAT(lists_of(forward_schedule({0, 1, 1, 0}, 2)), ElementsAre("F0.0 F0.1 F3.0 F3.1", "F1.0 F2.0 F1.1 F2.1"));
}

TEST(ForwardScheduleTest, serves_every_placement) {
  for (const ScheduleType type : kAllScheduleTypes) {
    const auto rank_of_stage = place_stages(type, 4, virtual_stages_for(type, 3));
    for (const int num_microbatches : {0, 1, 3, 10}) {
      const Schedule schedule = add_messages(forward_schedule(rank_of_stage, num_microbatches));
      EXPECT_NO_THROW(validate_schedule(schedule)) << enum_name(type);
      for (int pp_rank = 0; pp_rank < 4; ++pp_rank) EXPECT_EQ(peak_live_activations(schedule, pp_rank), 0);
    }
  }
}

TEST(ForwardScheduleTest, refuses_a_rank_without_a_stage) { EXPECT_THROW(forward_schedule({0, 2}, 1), InvariantError); }

}  // namespace
}  // namespace collimate
