#include "collimate/train/best_metric.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

constexpr std::string_view kPrefix = "eval_";

const Metric& known_metric(std::string_view name, std::span<const Metric> known) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  const auto found = std::ranges::find(known, name, &Metric::name);
  if (found != known.end()) return *found;
  std::vector<std::string> names;
  for (const Metric& metric : known) names.push_back(fmt::format("{}{}", kPrefix, metric.name));
  throw InputError(fmt::format("train.metric_for_best_model: {}{} is no metric of an evaluation; expected one of {}",
                               kPrefix, name, fmt::join(names, ", ")));
}

}  // namespace

BestMetric::BestMetric(const std::string& name, std::span<const Metric> known) {
  const Metric& metric = known_metric(name, known);
  name_ = fmt::format("{}{}", kPrefix, metric.name);
  better_ = metric.better;
}

double BestMetric::take(const EvaluationReport& report) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double value = find_metric(report.metrics, name_);
  // It would be the best for good, as nothing compares with it.
  if (!std::isfinite(value)) return -kInfinity;
  const double gain = best_ ? (better_ == Better::kLess ? *best_ - value : value - *best_) : kInfinity;
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
  if (state.is_null() || state.at("metric") != name_) return;
  best_ = state.at("value").get<double>();
  step_ = state.at("step").get<std::int64_t>();
}

}  // namespace collimate
