#include "collimate/train/step_rescue.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(StepRescueTest, a_step_that_ends_in_time_is_not_given_up) {
  const GraceView view{.whole = 60, .left = 50, .at_work = 5, .usual_work = 30, .usual_saving = 5};
  EXPECT_FALSE(must_give_up(view));
}

TEST(StepRescueTest, a_step_that_leaves_no_time_to_save_is_given_up_at_once) {
  EXPECT_TRUE(must_give_up({.whole = 60, .left = 59, .at_work = 5, .usual_work = 60, .usual_saving = 5}));
  EXPECT_FALSE(must_give_up({.whole = 60, .left = 59, .at_work = 13, .usual_work = 60, .usual_saving = 5}));
}

TEST(StepRescueTest, a_step_that_takes_longer_than_usual_is_given_up_when_saving_must_begin) {
  EXPECT_FALSE(must_give_up({.whole = 60, .left = 12, .at_work = 100, .usual_work = 30, .usual_saving = 5}));
  EXPECT_TRUE(must_give_up({.whole = 60, .left = 11, .at_work = 100, .usual_work = 30, .usual_saving = 5}));
}

TEST(StepRescueTest, half_of_the_time_is_kept_for_a_first_save_and_never_all_of_it) {
  EXPECT_FALSE(must_give_up({.whole = 60, .left = 31}));
  EXPECT_TRUE(must_give_up({.whole = 60, .left = 30}));
  EXPECT_FALSE(must_give_up({.whole = 60, .left = 46, .usual_saving = 100}));
  EXPECT_TRUE(must_give_up({.whole = 60, .left = 45, .usual_saving = 100}));
  EXPECT_TRUE(must_give_up({.whole = 60, .left = -3}));
}

}  // namespace
}  // namespace collimate
