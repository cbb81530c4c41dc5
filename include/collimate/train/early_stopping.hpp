#pragma once
// When a run that no longer gets better ends before its planned length.

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "collimate/train/config.hpp"

namespace collimate {

/// Counts evaluations in a row without an improvement, as Hugging Face's EarlyStoppingCallback. *Local*; on all ranks
/// the same.
class EarlyStopping {
 public:
  /// Never stops without a `config`. `metric` is what the evaluations are compared by.
  EarlyStopping(std::optional<EarlyStoppingConfig> config, std::string metric);

  /// Takes one evaluation: by how much it is better than the best before it, see BestMetric::take.
  void count(double gain);
  /// Whether patience is at its end.
  [[nodiscard]] bool is_reached() const;
  /// "none of 3 evaluations in a row was better by more than 0 in eval_loss".
  [[nodiscard]] std::string reason() const;

  /// As a part of a checkpoint's state, and back. What was counted with another metric or threshold says nothing now:
  /// then counting begins anew, as it does where nothing was counted.
  [[nodiscard]] nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  std::optional<EarlyStoppingConfig> config_;
  std::string metric_;
  std::int64_t num_without_ = 0;
};

}  // namespace collimate
