#pragma once
// metrics.jsonl: one JSON object a step or evaluation, under the ecosystem's names.

#include <filesystem>
#include <fstream>

#include "collimate/engine/step_report.hpp"

namespace collimate {

/// Appends a line for each report and flushes it, so that a run can be watched. Owns the open file.
class MetricsWriter final : public Observer {
 public:
  /// Continues `file` after `resumed_step`: lines of later steps move to metrics.discarded.jsonl beside it. A fresh run
  /// passes 0. Throws Error when the file cannot be written.
  MetricsWriter(std::filesystem::path file, std::int64_t resumed_step);

  void on_step(const StepReport& report) override;
  void on_evaluation(const EvaluationReport& report) override;

 private:
  void write_line(std::int64_t step, double epoch, const NamedMetrics& metrics, const NamedMetrics& timing);

  std::filesystem::path file_;
  std::ofstream stream_;
};

}  // namespace collimate
