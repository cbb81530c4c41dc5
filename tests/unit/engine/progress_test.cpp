#include "collimate/engine/progress.hpp"

#include <array>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(ClockTextTest, shows_hours_only_when_there_are_some) {
  EXPECT_EQ(clock_text(0), "0:00");
  EXPECT_EQ(clock_text(245.4), "4:05");
  EXPECT_EQ(clock_text(3723), "1:02:03");
}

StepReport report(std::int64_t step) {
  return {.step = step,
          .num_steps = 3,
          .epoch = 0.5,
          .metrics = {{"loss", 0.6931}, {"rewards/accuracies", 0.75}},
          .timing = {{"pairs_per_second", 12.5}, {"step_seconds", 2.0}}};
}

TEST(ProgressTest, without_a_terminal_tells_the_first_and_last_step_and_every_evaluation) {
  std::array<char, 1024> buffer{};
  std::FILE* stream = fmemopen(buffer.data(), buffer.size(), "w");
  {
    Progress progress(stream);
    for (std::int64_t step = 1; step <= 3; ++step) progress.on_step(report(step));
    progress.on_evaluation({.step = 3, .epoch = 1.0, .metrics = {{"eval_loss", 0.5}}, .timing = {}});
  }
  std::fclose(stream);
  EXPECT_STREQ(buffer.data(),
               "step 1/3  loss 0.6931  accuracy 0.750  pairs/s 12.50  left 0:04\n"
               "step 3/3  loss 0.6931  accuracy 0.750  pairs/s 12.50  left 0:00\n"
               "evaluation at step 3  loss 0.5000\n");
}

}  // namespace
}  // namespace collimate
