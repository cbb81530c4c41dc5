#include "collimate/engine/step_report.hpp"

#include <limits>

namespace collimate {

NamedMetrics named_metrics(const Objective& objective, const MetricValues& values, const BatchTotals& totals,
                           const std::string& prefix) {
  NamedMetrics named;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Metric& metric = objective.metrics().at(i);
    if (totals.weight > 0.0 || !metric.is_pair_mean) named.emplace_back(prefix + metric.name, values[i]);
  }
  return named;
}

double find_metric(const NamedMetrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics) {
    if (key == name) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace collimate
