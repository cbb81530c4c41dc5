#include "collimate/train/best_metric.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

constexpr const char* kPrefix = "eval_";

}  // namespace

BestMetric::BestMetric(std::string name, std::span<const std::string> known)
    : name_(name.starts_with(kPrefix) ? std::move(name) : kPrefix + name), less_is_better_(name_.ends_with("loss")) {
  std::vector<std::string> names;
  for (const std::string& metric : known) names.push_back(kPrefix + metric);
  if (std::ranges::find(names, name_) != names.end()) return;
  throw InputError(fmt::format("train.metric_for_best_model: {} is no metric of an evaluation; expected one of {}",
                               name_, fmt::join(names, ", ")));
}

bool BestMetric::improves(const EvaluationReport& report) {
  const double value = find_metric(report.metrics, name_);
  const bool is_better = !best_ || (less_is_better_ ? value < *best_ : value > *best_);
  if (!is_better) return false;
  best_ = value;
  step_ = report.step;
  return true;
}

nlohmann::json BestMetric::state() const {
  if (!best_) return nullptr;
  return {{"metric", name_}, {"value", *best_}, {"step", step_}};
}

void BestMetric::restore(const nlohmann::json& state) {
  // Of another metric nothing is known yet.
  if (state.is_null() || state.value("metric", "") != name_) return;
  best_ = state.at("value").get<double>();
  step_ = state.at("step").get<std::int64_t>();
}

}  // namespace collimate
