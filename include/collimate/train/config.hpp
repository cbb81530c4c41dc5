#pragma once
// Section `train` of the configuration: how long training goes and when it evaluates.

#include <cstdint>
#include <optional>
#include <string>

#include "collimate/config/fields.hpp"

namespace collimate {

/// When a run that no longer gets better ends, as Hugging Face's EarlyStoppingCallback: by metric_for_best_model.
struct EarlyStoppingConfig {
  std::int64_t patience = 3;  ///< evaluations in a row without an improvement
  double threshold = 0.0;     ///< an improvement is better than the best so far by more than this

  bool operator==(const EarlyStoppingConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("patience", &EarlyStoppingConfig::patience, Role::kSchedule, at_least(1)),
                      field("threshold", &EarlyStoppingConfig::threshold, Role::kSchedule, at_least(0))};
  }
};

struct TrainConfig {
  double num_train_epochs = 1.0;
  std::int64_t max_steps = -1;                        ///< optimizer steps; -1: as num_train_epochs says
  std::int64_t eval_steps = 500;                      ///< optimizer steps between evaluations
  std::string metric_for_best_model = "eval_loss";    ///< of an evaluation; it says itself which value is better
  std::optional<EarlyStoppingConfig> early_stopping;  ///< unset: never
  bool deterministic = true;  ///< the same bits in every run; an operation that cannot is an error
  std::uint64_t seed = 17;    ///< of the order of pairs

  bool operator==(const TrainConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("num_train_epochs", &TrainConfig::num_train_epochs, Role::kSchedule, above(0)),
                      field("max_steps", &TrainConfig::max_steps, Role::kSchedule, CountOrUnlimited{}),
                      field("eval_steps", &TrainConfig::eval_steps, Role::kSchedule, at_least(1)),
                      field("metric_for_best_model", &TrainConfig::metric_for_best_model, Role::kSchedule),
                      field("early_stopping", &TrainConfig::early_stopping, Role::kSchedule),
                      field("deterministic", &TrainConfig::deterministic, Role::kOperational),
                      field("seed", &TrainConfig::seed, Role::kIdentity)};
  }
};

}  // namespace collimate
