#include "collimate/train/best_metric.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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

double BestMetric::take(const EvaluationReport& report) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double value = find_metric(report.metrics, name_);
  // It would be the best for good, as nothing compares with it.
  if (!std::isfinite(value)) return -kInfinity;
  const double gain = best_ ? (less_is_better_ ? *best_ - value : value - *best_) : kInfinity;
  if (gain > 0) {
    best_ = value;
    step_ = report.step;
  }
  return gain;
}

std::string BestMetric::text() const {
  return best_ ? fmt::format("{} {:.6g} after step {}", name_, *best_, step_) : fmt::format("no finite {}", name_);
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
