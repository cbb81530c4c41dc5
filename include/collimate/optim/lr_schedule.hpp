#pragma once
// Learning-rate schedules, named and defined as in Hugging Face transformers (optimization.py). Pure.

#include <cstdint>

#include "collimate/optim/config.hpp"

namespace collimate {

/// Steps of warm-up: `warmup_steps` itself, or, below 1, that share of the run rounded up.
std::int64_t num_warmup_steps(const OptimizerConfig& config, std::int64_t num_steps);

/// Learning rate of the update number `step` (from 0) of a run of `num_steps`. A warm-up starts from 0.
double learning_rate(const OptimizerConfig& config, std::int64_t step, std::int64_t num_steps);

}  // namespace collimate
