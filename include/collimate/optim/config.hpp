#pragma once
// Section `optimizer` of the configuration: AdamW and its learning-rate schedule, in the names of Hugging Face's
// trainer.

#include <cmath>
#include <string>
#include <vector>

#include "collimate/config/fields.hpp"

namespace collimate {

enum class LrSchedulerType { kConstant, kConstantWithWarmup, kLinear, kCosine, kCosineWithMinLr };

template <>
inline constexpr auto enum_names<LrSchedulerType> =
    std::to_array<EnumName<LrSchedulerType>>({{LrSchedulerType::kConstant, "constant"},
                                              {LrSchedulerType::kConstantWithWarmup, "constant_with_warmup"},
                                              {LrSchedulerType::kLinear, "linear"},
                                              {LrSchedulerType::kCosine, "cosine"},
                                              {LrSchedulerType::kCosineWithMinLr, "cosine_with_min_lr"}});

/// A ratio of all steps when below 1, else a whole number of steps.
struct RatioOrSteps {
  [[nodiscard]] bool accepts(double value) const { return value >= 0 && (value < 1 || value == std::floor(value)); }
  [[nodiscard]] std::string expected() const { return "a ratio from 0 to below 1, or a whole number of steps"; }
};

struct OptimizerConfig {
  double learning_rate = 5e-7;  ///< the schedule's peak
  LrSchedulerType lr_scheduler_type = LrSchedulerType::kLinear;
  double warmup_steps = 0.1;  ///< below 1: a ratio of all steps
  double min_lr_rate = 0.1;   ///< cosine_with_min_lr ends at this share of learning_rate
  double weight_decay = 0.0;
  std::vector<double> betas = {0.9, 0.999};
  double epsilon = 1e-8;
  double max_grad_norm = 1.0;  ///< 0: no clipping

  bool operator==(const OptimizerConfig&) const = default;

  static constexpr auto fields() {
    using Config = OptimizerConfig;
    return std::tuple{field("learning_rate", &Config::learning_rate, Role::kSchedule, above(0)),
                      field("lr_scheduler_type", &Config::lr_scheduler_type, Role::kSchedule),
                      field("warmup_steps", &Config::warmup_steps, Role::kSchedule, RatioOrSteps{}),
                      field("min_lr_rate", &Config::min_lr_rate, Role::kSchedule, between(0, 1)),
                      field("weight_decay", &Config::weight_decay, Role::kIdentity, at_least(0)),
                      field("betas", &Config::betas, Role::kIdentity, from_to_below(0, 1)),
                      field("epsilon", &Config::epsilon, Role::kIdentity, above(0)),
                      field("max_grad_norm", &Config::max_grad_norm, Role::kIdentity, at_least(0))};
  }
};

}  // namespace collimate
