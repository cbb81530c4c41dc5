// Expected values: transformers 5.23 get_scheduler with AdamW(lr=1), 3 warm-up steps of 10, min_lr_rate 0.1.

#include "collimate/optim/lr_schedule.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace collimate {
namespace {

OptimizerConfig schedule(LrSchedulerType type) {
  OptimizerConfig config;
  config.lr_scheduler_type = type;
  config.learning_rate = 1.0;
  config.warmup_steps = 3;
  config.min_lr_rate = 0.1;
  return config;
}

void expect_decay(LrSchedulerType type, const std::vector<double>& after_warmup) {
  const OptimizerConfig config = schedule(type);
  for (int step = 0; step < 3; ++step) EXPECT_DOUBLE_EQ(learning_rate(config, step, 10), step / 3.0);
  for (int step = 3; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(learning_rate(config, step, 10), after_warmup.at(static_cast<std::size_t>(step - 3))) << step;
  }
}

TEST(LrScheduleTest, equals_transformers) {
  expect_decay(LrSchedulerType::kConstantWithWarmup, {1, 1, 1, 1, 1, 1, 1});
  expect_decay(LrSchedulerType::kLinear, {1.0, 0.8571428571428571, 0.7142857142857143, 0.5714285714285714,
                                          0.42857142857142855, 0.2857142857142857, 0.14285714285714285});
  expect_decay(LrSchedulerType::kCosine, {1.0, 0.9504844339512095, 0.8117449009293668, 0.6112604669781572,
                                          0.38873953302184283, 0.18825509907063326, 0.04951556604879048});
  expect_decay(LrSchedulerType::kCosineWithMinLr, {1.0, 0.9554359905560885, 0.8305704108364301, 0.6501344202803414,
                                                   0.44986557971965857, 0.26942958916356996, 0.14456400944391146});
}

TEST(LrScheduleTest, constant_has_no_warmup) {
  EXPECT_EQ(learning_rate(schedule(LrSchedulerType::kConstant), 0, 10), 1.0);
}

TEST(LrScheduleTest, warmup_below_one_is_a_share_rounded_up) {
  OptimizerConfig config = schedule(LrSchedulerType::kLinear);
  config.warmup_steps = 0.1;
  EXPECT_EQ(num_warmup_steps(config, 25), 3);
  config.warmup_steps = 0.0;
  EXPECT_EQ(learning_rate(config, 0, 25), 1.0);
}

}  // namespace
}  // namespace collimate
