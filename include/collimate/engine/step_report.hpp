#pragma once
// What a step, an evaluation and a run tell their observers.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "collimate/objective/objective.hpp"
#include "collimate/store/checkpoint_saver.hpp"

namespace collimate {

/// Names and values in the order they are written.
using NamedMetrics = std::vector<std::pair<std::string, double>>;

/// One finished optimizer step.
struct StepReport {
  std::int64_t step = 0;  // updates made so far: the first report says 1
  std::int64_t num_steps = 0;
  double epoch = 0;  // epochs seen so far
  NamedMetrics metrics;
  NamedMetrics timing;  // differs from run to run: pairs_per_second, tokens_per_second, mfu, step_seconds
};

/// One evaluation; its metric names begin with eval_.
struct EvaluationReport {
  std::int64_t step = 0;
  double epoch = 0;
  NamedMetrics metrics;
  NamedMetrics timing;
};

/// Sees reports on rank 0. *Local*: an observer never communicates.
class Observer {
 public:
  virtual ~Observer() = default;
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  virtual void on_step(const StepReport& report) = 0;
  virtual void on_evaluation(const EvaluationReport& report) = 0;
  /// A checkpoint was committed.
  virtual void on_checkpoint(const SaveReport& /*report*/) {}
};

/// The metrics of a batch or an evaluation under their names with `prefix` before: `values` in the order of
/// Objective::metrics(), normalized by `totals`. Means over pairs are left out where all pairs weigh nothing.
NamedMetrics named_metrics(const Objective& objective, const MetricValues& values, const BatchTotals& totals,
                           const std::string& prefix = "");

/// The value of a metric, or NaN where there is none of this name.
double find_metric(const NamedMetrics& metrics, const std::string& name);

}  // namespace collimate
