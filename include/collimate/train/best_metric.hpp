#pragma once
// Which evaluation of a run was the best so far.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "collimate/engine/step_report.hpp"
#include "collimate/objective/objective.hpp"

namespace collimate {

/// Follows one metric of the evaluations of a run. *Local*; on all ranks the same.
class BestMetric {
 public:
  /// `name` as the ecosystem writes it: "eval_loss", or "loss". Which value is better the metric says. Throws
  /// InputError naming the metrics that an evaluation has, `known` with "eval_" before, when it is none of them.
  BestMetric(const std::string& name, std::span<const Metric> known);

  /// By how much this evaluation is better than all before it: above 0 where it is, and then it is the best; infinite
  /// for the first. A value that is not finite is never better.
  double take(const EvaluationReport& report);

  /// "eval_loss".
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// "eval_loss 0.693 after step 40".
  [[nodiscard]] std::string text() const;

  /// As a part of a checkpoint's state, and back. Throws InputError where it is none.
  [[nodiscard]] nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  std::string name_;
  Better better_ = Better::kLess;
  std::optional<double> best_;
  std::int64_t step_ = 0;
};

}  // namespace collimate
