#pragma once
// The part of a checkpoint's trainer state that follows from the configuration and the step: written for the reader,
// never read back. Private to src/train.

#include <cstdint>

#include <nlohmann/json.hpp>

#include "collimate/data/sampler.hpp"
#include "collimate/job/config.hpp"

namespace collimate::detail {

/// Epoch, sampler (all randomness of training is its seed and the step) and learning-rate schedule of a run of
/// `num_steps` that goes on with the step number `step` (from 0).
nlohmann::json derived_trainer_state(const RunConfig& config, const Sampler& sampler, std::int64_t step,
                                     std::int64_t num_steps);

}  // namespace collimate::detail
