#pragma once
// Small checkpoints for tests of the store.

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "collimate/store/checkpoint.hpp"

namespace collimate {

inline CheckpointState sample_state(std::int64_t step) {
  return {.step = step,
          .trainer_state = {{"epoch", 0.1}, {"num_pairs_seen", step * 32}},
          .fingerprints = {{"data", "d"}, {"weights", "w"}},
          .configuration = "model:\n  path: \"a\"\nname: größer\n"};
}

/// Weights in float32, moments in float64; the values follow the step.
inline std::vector<TensorGroup> sample_groups(std::int64_t step, std::int64_t hidden_size = 6) {
  const auto values = at::arange(4 * hidden_size, at::kFloat).reshape({4, hidden_size}) + static_cast<double>(step);
  return {{"model", {{"a.weight", values}, {"b.bias", at::full({3}, 0.5, at::kBFloat16)}}},
          {"exp_avg", {{"a.weight", values.to(at::kDouble).t()}}}};
}

}  // namespace collimate
