#pragma once
// The policy under training: its stage, the flat buffers behind the stage's parameters, and the optimizer's moments.

#include <cstdint>
#include <vector>

#include "collimate/nn/stage.hpp"
#include "collimate/optim/adamw.hpp"
#include "collimate/optim/flat_parameters.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate {

/// Owns everything that an optimizer step changes. *Local.*
class Policy {
 public:
  Policy(Stage stage, const OptimizerConfig& config);

  [[nodiscard]] const Stage& stage() const noexcept { return stage_; }
  [[nodiscard]] FlatParameters& parameters() noexcept { return parameters_; }

  /// One update from the gradients as they stand.
  void update(double learning_rate);

  /// Weights and moments by logical name; views of the live buffers, valid until the next update.
  [[nodiscard]] std::vector<TensorGroup> tensor_groups() const;
  /// Takes the moments of a checkpoint that was saved after `num_updates`. The stage must have been built from it.
  void restore_moments(const Checkpoint& checkpoint, std::int64_t num_updates);

 private:
  [[nodiscard]] TensorGroup group(const char* name, const at::Tensor& flat) const;
  [[nodiscard]] at::Tensor flat_group(const Checkpoint& checkpoint, const char* name) const;

  Stage stage_;
  FlatParameters parameters_;
  AdamW optimizer_;
};

}  // namespace collimate
