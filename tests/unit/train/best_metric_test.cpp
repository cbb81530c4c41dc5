#include "collimate/train/best_metric.hpp"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class BestMetricTest : public ::testing::Test {
 protected:
  BestMetric best(const std::string& name = "eval_loss") const { return {name, known_}; }
  static EvaluationReport report(std::int64_t step, double loss) {
    return {.step = step, .metrics = {{"eval_loss", loss}, {"eval_rewards/margins", loss}}};
  }

  std::vector<Metric> known_{{.name = "loss", .better = Better::kLess},
                             {.name = "rewards/margins", .better = Better::kMore}};
};

TEST_F(BestMetricTest, less_loss_is_better_by_the_difference) {
  BestMetric loss = best();
  EXPECT_EQ(loss.take(report(2, 0.75)), kInfinity);
  EXPECT_EQ(loss.take(report(4, 0.5)), 0.25);
  EXPECT_EQ(loss.take(report(6, 0.5)), 0);
  EXPECT_EQ(loss.take(report(8, 1.0)), -0.5);
  EXPECT_EQ(loss.text(), "eval_loss 0.5 after step 4");
}

TEST_F(BestMetricTest, more_of_another_metric_is_better) {
  BestMetric margins = best("rewards/margins");
  EXPECT_EQ(margins.take(report(2, 0.75)), kInfinity);
  EXPECT_EQ(margins.take(report(4, 0.5)), -0.25);
  EXPECT_EQ(margins.take(report(6, 1.0)), 0.25);
  EXPECT_EQ(margins.text(), "eval_rewards/margins 1 after step 6");
}

// By its name alone, one would take more of it for better.
TEST_F(BestMetricTest, of_every_loss_less_is_better) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.5};
  const Objective objective(config);
  for (const char* name : {"eval_loss", "eval_loss/sigmoid", "loss/sft"}) {
    BestMetric metric(name, objective.metrics());
    const auto value = [&](double loss) { return EvaluationReport{.step = 1, .metrics = {{metric.name(), loss}}}; };
    metric.take(value(0.75));
    EXPECT_EQ(metric.take(value(0.5)), 0.25) << name;
    EXPECT_EQ(metric.take(value(1.0)), -0.5) << name;
  }
}

TEST_F(BestMetricTest, the_smallest_difference_counts) {
  BestMetric loss = best();
  loss.take(report(1, 0.7));
  EXPECT_GT(loss.take(report(2, std::nextafter(0.7, 0))), 0);
}

TEST_F(BestMetricTest, what_is_not_finite_is_never_the_best) {
  BestMetric loss = best();
  for (const double value : {std::nan(""), kInfinity, -kInfinity}) EXPECT_EQ(loss.take(report(1, value)), -kInfinity);
  EXPECT_EQ(loss.state(), nullptr);
  EXPECT_EQ(loss.text(), "no finite eval_loss");
  EXPECT_EQ(loss.take(report(2, 3)), kInfinity);
  EXPECT_EQ(loss.take(report(3, std::nan(""))), -kInfinity);
  EXPECT_EQ(loss.text(), "eval_loss 3 after step 2");
}

TEST_F(BestMetricTest, goes_on_from_its_state_unless_it_is_of_another_metric) {
  BestMetric first = best();
  first.take(report(2, 0.1));
  const nlohmann::json state = nlohmann::json::parse(first.state().dump());
  BestMetric second = best();
  second.restore(state);
  EXPECT_EQ(second.state(), first.state());
  EXPECT_EQ(second.take(report(4, 0.1)), 0);
  BestMetric other = best("rewards/margins");
  other.restore(state);
  EXPECT_EQ(other.take(report(4, 0.1)), kInfinity);
}

TEST_F(BestMetricTest, a_metric_that_no_evaluation_has_is_refused) {
  EXPECT_THAT([&] { best("bleu"); },
              throws<InputError>(AllOf(HasSubstr("eval_bleu"), HasSubstr("eval_loss, eval_rewards/margins"))));
}

}  // namespace
}  // namespace collimate
