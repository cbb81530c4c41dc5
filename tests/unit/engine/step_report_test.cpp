#include "collimate/engine/step_report.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(NamedMetricsTest, have_their_names_with_the_prefix_before) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSft};
  const NamedMetrics named =
      named_metrics(Objective(config), {0.5, -3.0}, {.weight = 2.0, .labelled_chosen_tokens = 6.0}, "eval_");
  EXPECT_EQ(named, (NamedMetrics{{"eval_loss", 0.5}, {"eval_logps/chosen", -3.0}}));
}

TEST(NamedMetricsTest, means_of_pairs_without_weight_are_left_out) {
  const Objective objective(ObjectiveConfig{});
  const NamedMetrics named = named_metrics(objective, MetricValues(objective.metrics().size(), 0.0), {});
  EXPECT_EQ(named, (NamedMetrics{{"loss", 0.0}}));
  EXPECT_TRUE(std::isnan(find_metric(named, "rewards/accuracies")));
}

}  // namespace
}  // namespace collimate
