#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/train/trainer.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

CheckpointState saved_state() {
  return {
      .step = 4,
      .trainer_state = {{"num_pairs", 8},
                        {"num_tokens", 100},
                        {"owes_evaluation", true},
                        {"best", {{"metric", "eval_loss"}, {"value", 0.5}, {"step", 2}}},
                        {"early_stopping",
                         {{"metric", "eval_loss"}, {"threshold", 0.0}, {"num_evaluations_without_improvement", 1}}}},
      .configuration = "",
      .layout = {}};
}

TEST(TrainerProgressTest, is_what_the_checkpoint_says) {
  const TrainProgress progress = progress_of(saved_state());
  EXPECT_EQ(progress.step, 4);
  EXPECT_EQ(progress.num_pairs, 8U);
  EXPECT_TRUE(progress.owes_evaluation);
  EXPECT_EQ(progress.best["value"], 0.5);
}

TEST(TrainerProgressTest, refuses_values_of_other_types) {
  const std::vector<std::pair<const char*, nlohmann::json>> wrong{
      {"/num_pairs", -1},
      {"/num_tokens", 1.5},
      {"/owes_evaluation", "yes"},
      {"/best", 3},
      {"/best/metric", 3},
      {"/best/value", "low"},
      {"/best/step", 1e300},
      {"/early_stopping", "never"},
      {"/early_stopping/metric", nullptr},
      {"/early_stopping/threshold", nlohmann::json::array()},
      {"/early_stopping/num_evaluations_without_improvement", -1}};
  for (const auto& [place, value] : wrong) {
    CheckpointState state = saved_state();
    state.trainer_state[nlohmann::json::json_pointer(place)] = value;
    EXPECT_THAT([&] { (void)progress_of(state); },
                throws<InputError>(AllOf(HasSubstr("step 4"), HasSubstr("no usable trainer state"))))
        << place;
  }
}

}  // namespace
}  // namespace collimate
