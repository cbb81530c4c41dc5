#include "collimate/optim/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

double cosine(double progress) { return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress))); }

// Factor after warm-up; `progress` runs from 0 to 1.
double decay(const OptimizerConfig& config, double progress) {
  switch (config.lr_scheduler_type) {
    case LrSchedulerType::kConstant:
    case LrSchedulerType::kConstantWithWarmup:
      return 1.0;
    case LrSchedulerType::kLinear:
      return std::max(0.0, 1.0 - progress);
    case LrSchedulerType::kCosine:
      return cosine(progress);
    case LrSchedulerType::kCosineWithMinLr:
      return cosine(progress) * (1.0 - config.min_lr_rate) + config.min_lr_rate;
  }
  throw InvariantError("every learning-rate schedule has a formula");
}

}  // namespace

std::int64_t num_warmup_steps(const OptimizerConfig& config, std::int64_t num_steps) {
  if (config.lr_scheduler_type == LrSchedulerType::kConstant) return 0;
  if (config.warmup_steps >= 1.0) return static_cast<std::int64_t>(config.warmup_steps);
  return static_cast<std::int64_t>(std::ceil(config.warmup_steps * static_cast<double>(num_steps)));
}

double learning_rate(const OptimizerConfig& config, std::int64_t step, std::int64_t num_steps) {
  const std::int64_t warmup = num_warmup_steps(config, num_steps);
  if (step < warmup)
    return config.learning_rate * static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup));
  const double progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(1, num_steps - warmup));
  return config.learning_rate * decay(config, progress);
}

}  // namespace collimate
