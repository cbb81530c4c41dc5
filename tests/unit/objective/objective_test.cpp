#include "collimate/objective/objective.hpp"

#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace collimate {
namespace {

at::Tensor column(const std::vector<double>& values, bool differentiable = false) {
  return at::tensor(values, at::kDouble).set_requires_grad(differentiable);
}

PairBatch two_pairs() {
  return {.policy_chosen = column({-10.0, -20.0}, true),
          .policy_rejected = column({-12.0, -19.0}, true),
          .reference_chosen = column({-11.0, -20.5}),
          .reference_rejected = column({-11.5, -18.0}),
          .label = column({1.0, 0.75}),
          .weight = column({1.0, 3.0}),
          .num_labelled_chosen_tokens = column({4.0, 8.0})};
}

const BatchTotals kTotals{.weight = 4.0, .labelled_chosen_tokens = 28.0};

double log_sigmoid(double z) { return -std::log1p(std::exp(-z)); }

double metric(const Objective& objective, const ObjectiveShare& share, std::string_view name) {
  for (std::size_t i = 0; i < objective.metrics().size(); ++i) {
    if (objective.metrics()[i].name == name) return share.metrics.at(i);
  }
  ADD_FAILURE() << "no metric " << name;
  return NAN;
}

TEST(ObjectiveTest, sigmoid_equals_its_formula_with_soft_labels_and_smoothing) {
  ObjectiveConfig config;
  config.beta = 0.5;
  config.label_smoothing = 0.1;
  const Objective objective(config);
  const ObjectiveShare share = objective.share(two_pairs(), kTotals);

  const double z0 = 0.5 * ((-10.0 + 11.0) - (-12.0 + 11.5));
  const double z1 = 0.5 * ((-20.0 + 20.5) - (-19.0 + 18.0));
  const double p1 = 0.75 * 0.9 + 0.25 * 0.1;
  const double loss0 = -0.9 * log_sigmoid(z0) - 0.1 * log_sigmoid(-z0);
  const double loss1 = -p1 * log_sigmoid(z1) - (1 - p1) * log_sigmoid(-z1);
  EXPECT_NEAR(share.loss.item<double>(), (loss0 + 3 * loss1) / 4, 1e-15);
  EXPECT_NEAR(metric(objective, share, "rewards/chosen"), (0.5 * 1.0 + 3 * 0.5 * 0.5) / 4, 1e-15);
  EXPECT_NEAR(metric(objective, share, "rewards/margins"), (z0 + 3 * z1) / 4, 1e-15);
  EXPECT_DOUBLE_EQ(metric(objective, share, "rewards/accuracies"), 1.0);
  EXPECT_DOUBLE_EQ(metric(objective, share, "logps/chosen"), (-10.0 - 60.0) / 4);
}

TEST(ObjectiveTest, policy_equal_to_reference_gives_ln_2_and_no_margin) {
  const Objective objective(ObjectiveConfig{});
  PairBatch pairs = two_pairs();
  pairs.policy_chosen = pairs.reference_chosen;
  pairs.policy_rejected = pairs.reference_rejected;
  const ObjectiveShare share = objective.share(pairs, kTotals);
  EXPECT_DOUBLE_EQ(share.loss.item<double>(), std::numbers::ln2);
  EXPECT_EQ(metric(objective, share, "rewards/margins"), 0.0);
  EXPECT_EQ(metric(objective, share, "rewards/accuracies"), 0.0);  // a tie is no win
}

TEST(ObjectiveTest, large_margins_stay_finite_and_exact) {
  const Objective objective(ObjectiveConfig{});
  PairBatch pairs = two_pairs();
  pairs.label = column({1.0, 1.0});
  pairs.policy_chosen = column({-10.0, 1e4}, true);
  pairs.policy_rejected = column({1e4, -12.0}, true);
  const ObjectiveShare share = objective.share(pairs, kTotals);
  const double z0 = 0.1 * ((-10.0 + 11.0) - (1e4 + 11.5));
  EXPECT_NEAR(share.loss.item<double>(), -z0 / 4, 1e-10);
}

TEST(ObjectiveTest, sft_is_the_mean_over_the_tokens_of_the_global_batch) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSft};
  const Objective objective(config);
  EXPECT_FALSE(objective.needs().reference || objective.needs().rejected);
  PairBatch pairs = two_pairs();
  pairs.policy_rejected = pairs.reference_chosen = pairs.reference_rejected = at::Tensor();
  const ObjectiveShare share = objective.share(pairs, kTotals);
  EXPECT_DOUBLE_EQ(share.loss.item<double>(), (10.0 + 3 * 20.0) / 28.0);
  ASSERT_EQ(objective.metrics().size(), 2U);
  EXPECT_EQ(objective.metrics()[1], (Metric{.name = "logps/chosen", .better = Better::kMore}));
}

TEST(ObjectiveTest, a_mixture_adds_its_weighted_parts) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.2};
  const Objective objective(config);
  const ObjectiveShare share = objective.share(two_pairs(), kTotals);
  EXPECT_DOUBLE_EQ(share.loss.item<double>(),
                   metric(objective, share, "loss/sigmoid") + 0.2 * metric(objective, share, "loss/sft"));
}

TEST(ObjectiveTest, shares_of_microbatches_add_up_to_the_whole) {
  const Objective objective(ObjectiveConfig{});
  const PairBatch pairs = two_pairs();
  const auto part = [&](int64_t i) {
    const auto row = [&](const at::Tensor& values) { return values.slice(0, i, i + 1); };
    return PairBatch{row(pairs.policy_chosen),
                     row(pairs.policy_rejected),
                     row(pairs.reference_chosen),
                     row(pairs.reference_rejected),
                     row(pairs.label),
                     row(pairs.weight),
                     row(pairs.num_labelled_chosen_tokens)};
  };
  const MetricValues whole = objective.share(pairs, kTotals).metrics;
  const MetricValues first = objective.share(part(0), kTotals).metrics;
  const MetricValues second = objective.share(part(1), kTotals).metrics;
  for (std::size_t i = 0; i < whole.size(); ++i)
    EXPECT_NEAR(whole[i], first[i] + second[i], 1e-15 * std::abs(whole[i]));
}

TEST(ObjectiveTest, losses_gradients_and_means_of_pairs_without_weight_are_0) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.3};
  const Objective objective(config);
  PairBatch pairs = two_pairs();
  pairs.weight = column({0.0, 0.0});
  const ObjectiveShare share = objective.share(pairs, BatchTotals{});
  EXPECT_EQ(share.metrics, MetricValues(objective.metrics().size(), 0.0));
  share.loss.backward();
  EXPECT_EQ(pairs.policy_chosen.grad().abs().sum().item<double>(), 0.0);
  EXPECT_EQ(pairs.policy_rejected.grad().abs().sum().item<double>(), 0.0);
}

TEST(ObjectiveTest, every_metric_says_which_value_is_better) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.3};
  const auto loss = [](const char* name) {
    return Metric{.name = name, .better = Better::kLess, .is_pair_mean = false};
  };
  EXPECT_EQ(Objective(config).metrics(), (std::vector<Metric>{loss("loss"),
                                                              loss("loss/sigmoid"),
                                                              loss("loss/sft"),
                                                              {.name = "rewards/chosen", .better = Better::kMore},
                                                              {.name = "rewards/rejected", .better = Better::kLess},
                                                              {.name = "rewards/margins", .better = Better::kMore},
                                                              {.name = "rewards/accuracies", .better = Better::kMore},
                                                              {.name = "logps/chosen", .better = Better::kMore},
                                                              {.name = "logps/rejected", .better = Better::kLess}}));
}

TEST(ObjectiveTest, gradient_equals_finite_differences) {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.3};
  config.label_smoothing = 0.05;
  const Objective objective(config);
  PairBatch pairs = two_pairs();
  objective.share(pairs, kTotals).loss.backward();
  const double analytic = pairs.policy_chosen.grad()[1].item<double>();
  const auto loss_at = [&](double shift) {
    PairBatch moved = two_pairs();
    moved.policy_chosen = column({-10.0, -20.0 + shift});
    return objective.share(moved, kTotals).loss.item<double>();
  };
  constexpr double kStep = 1e-5;
  EXPECT_NEAR(analytic, (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep), 1e-9);
}

TEST(LossTableTest, has_one_row_for_each_type_in_order) {
  for (std::size_t i = 0; i < loss_table().size(); ++i) EXPECT_EQ(static_cast<std::size_t>(loss_table()[i].type), i);
}

}  // namespace
}  // namespace collimate
