#include "collimate/objective/objective.hpp"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

namespace collimate {

namespace {

// A batch whose pairs all weigh nothing has mean 0, not 0 / 0.
double positive(double total) { return total > 0.0 ? total : 1.0; }

double denominator(Normalizer normalizer, const BatchTotals& totals) {
  return positive(normalizer == Normalizer::kPairWeight ? totals.weight : totals.labelled_chosen_tokens);
}

double pair_mean(const PairBatch& pairs, const at::Tensor& values, const BatchTotals& totals) {
  return (pairs.weight * values).sum().item<double>() / positive(totals.weight);
}

std::vector<Metric> metrics_of(const ObjectiveConfig& config, const LossNeeds& needs) {
  const auto loss = [](std::string name) {
    return Metric{.name = std::move(name), .better = Better::kLess, .is_pair_mean = false};
  };
  std::vector<Metric> metrics{loss("loss")};
  if (config.loss_type.size() > 1) {
    for (const LossType type : config.loss_type) metrics.push_back(loss(fmt::format("loss/{}", enum_name(type))));
  }
  if (needs.reference) {
    metrics.push_back({.name = "rewards/chosen", .better = Better::kMore});
    metrics.push_back({.name = "rewards/rejected", .better = Better::kLess});
    metrics.push_back({.name = "rewards/margins", .better = Better::kMore});
    metrics.push_back({.name = "rewards/accuracies", .better = Better::kMore});
  }
  metrics.push_back({.name = "logps/chosen", .better = Better::kMore});
  if (needs.rejected) metrics.push_back({.name = "logps/rejected", .better = Better::kLess});
  return metrics;
}

}  // namespace

Objective::Objective(const ObjectiveConfig& config)
    : config_(config), needs_(loss_needs(config)), metrics_(metrics_of(config, needs_)) {}

ObjectiveShare Objective::share(const PairBatch& pairs, const BatchTotals& totals) const {
  ObjectiveShare result{.loss = at::zeros({}, at::kDouble), .metrics = {0.0}};
  for (std::size_t k = 0; k < config_.loss_type.size(); ++k) {
    const LossRow& row = loss_row(config_.loss_type[k]);
    const at::Tensor loss = (pairs.weight * row.pair_loss(pairs, config_)).sum() / denominator(row.normalizer, totals);
    result.loss = result.loss + config_.loss_weights.at(k) * loss;
    if (config_.loss_type.size() > 1) result.metrics.push_back(loss.item<double>());
  }
  result.metrics.front() = result.loss.item<double>();
  if (needs_.reference) append_rewards(pairs, totals, result.metrics);
  result.metrics.push_back(pair_mean(pairs, pairs.policy_chosen.detach(), totals));
  if (needs_.rejected) result.metrics.push_back(pair_mean(pairs, pairs.policy_rejected.detach(), totals));
  return result;
}

void Objective::append_rewards(const PairBatch& pairs, const BatchTotals& totals, MetricValues& metrics) const {
  const at::Tensor chosen = config_.beta * (pairs.policy_chosen.detach() - pairs.reference_chosen);
  const at::Tensor rejected = config_.beta * (pairs.policy_rejected.detach() - pairs.reference_rejected);
  const at::Tensor accuracy = chosen.gt(rejected).to(at::kDouble);
  for (const at::Tensor& values : {chosen, rejected, chosen - rejected, accuracy}) {
    metrics.push_back(pair_mean(pairs, values, totals));
  }
}

}  // namespace collimate
