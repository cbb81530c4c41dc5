#include "collimate/train/early_stopping.hpp"

#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace collimate {
namespace {

/// The gain of the first evaluation.
constexpr double kFirst = std::numeric_limits<double>::infinity();

EarlyStopping stopping(std::int64_t patience, double threshold = 0, const std::string& metric = "eval_loss") {
  return {EarlyStoppingConfig{.patience = patience, .threshold = threshold}, metric};
}

/// After how many of the evaluations it is reached first; 0: never.
std::size_t reached_after(EarlyStopping stopping, const std::vector<double>& gains) {
  for (std::size_t i = 0; i < gains.size(); ++i) {
    stopping.count(gains[i]);
    if (stopping.is_reached()) return i + 1;
  }
  return 0;
}

TEST(EarlyStoppingTest, is_reached_after_patience_evaluations_in_a_row_without_improvement) {
  EXPECT_EQ(reached_after(stopping(1), {kFirst, 0.1, -0.1}), 3);
  EXPECT_EQ(reached_after(stopping(2), {kFirst, -1, 0.1, -1, 0.1, -1, -2}), 7);
  EXPECT_EQ(reached_after(stopping(3), {kFirst, -1, -1, 0.1, -1, -1}), 0);
}

TEST(EarlyStoppingTest, an_equal_value_is_no_improvement) { EXPECT_EQ(reached_after(stopping(2), {kFirst, 0, 0}), 3); }

TEST(EarlyStoppingTest, an_improvement_is_above_the_threshold) {
  EXPECT_EQ(reached_after(stopping(2, 0.25), {kFirst, 0.25, 0.2}), 3);
  EXPECT_EQ(reached_after(stopping(2, 0.25), {kFirst, 0.25, 0.26, 0.2}), 0);
}

TEST(EarlyStoppingTest, a_value_that_is_not_finite_is_no_improvement) {
  EXPECT_EQ(reached_after(stopping(2), {-kFirst, -kFirst}), 2);
}

TEST(EarlyStoppingTest, is_never_reached_without_a_configuration) {
  EXPECT_EQ(reached_after({std::nullopt, "eval_loss"}, {kFirst, -1, -1, -1, -1, -1}), 0);
  EXPECT_EQ(EarlyStopping(std::nullopt, "eval_loss").state(), nullptr);
}

TEST(EarlyStoppingTest, says_why) {
  EarlyStopping two = stopping(2, 0.5);
  two.count(-1);
  two.count(-1);
  EXPECT_EQ(two.reason(), "none of 2 evaluations in a row was better by more than 0.5 in eval_loss");
}

class EarlyStoppingStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EarlyStopping counted = stopping(3, 0.1);
    counted.count(-1);
    counted.count(0.1);
    state_ = nlohmann::json::parse(counted.state().dump());
  }
  /// How many evaluations without improvement `stopping` then needs to be reached.
  std::size_t left(EarlyStopping stopping) const {
    stopping.restore(state_);
    return reached_after(stopping, std::vector(9, -1.0));
  }

  nlohmann::json state_;
};

TEST_F(EarlyStoppingStateTest, counting_goes_on) {
  EXPECT_EQ(left(stopping(3, 0.1)), 1);
  EXPECT_EQ(left(stopping(5, 0.1)), 3);
}

TEST_F(EarlyStoppingStateTest, less_patience_is_at_its_end_at_once) {
  EarlyStopping impatient = stopping(2, 0.1);
  impatient.restore(state_);
  EXPECT_TRUE(impatient.is_reached());
}

TEST_F(EarlyStoppingStateTest, counting_begins_anew_with_another_threshold_or_metric_or_where_nothing_was_counted) {
  EXPECT_EQ(left(stopping(3, 0.2)), 3);
  EXPECT_EQ(left(stopping(3, 0.1, "eval_rewards/margins")), 3);
  state_ = nullptr;
  EXPECT_EQ(left(stopping(3, 0.1)), 3);
}

TEST_F(EarlyStoppingStateTest, a_run_without_it_takes_nothing_over) {
  EarlyStopping none(std::nullopt, "eval_loss");
  none.restore(state_);
  EXPECT_FALSE(none.is_reached());
}

}  // namespace
}  // namespace collimate
