#pragma once
// AdamW (Loshchilov and Hutter, arXiv 1711.05101) over parts of flat buffers, by libtorch's own fused kernel, on a GPU
// by one that rounds the weights in the same pass.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/optim/config.hpp"

namespace collimate {

/// What changes from update to update.
struct AdamWStep {
  double learning_rate = 0.0;
  double gradient_factor = 1.0;  ///< of all gradients, for their clipping
};

/// The moments of some parts of a buffer, one after the other, and the number of updates they have seen.
class AdamW {
 public:
  /// `values`: what will be updated, flat, of one dtype, on one device.
  AdamW(const OptimizerConfig& config, std::vector<at::Tensor> values);

  /// One update in place, equal to torch.optim.AdamW's with the same learning rate and scaled gradients. `gradients`
  /// are as `values`, and may be left scaled. `narrow` is as `values` in a narrower dtype and takes the new values,
  /// rounded; empty: none. *Local.*
  void step(at::TensorList gradients, const AdamWStep& step, at::TensorList narrow = {});

  /// [elements of all values]
  [[nodiscard]] const at::Tensor& exp_avg() const noexcept { return exp_avg_; }
  [[nodiscard]] const at::Tensor& exp_avg_sq() const noexcept { return exp_avg_sq_; }
  [[nodiscard]] std::int64_t num_updates() const noexcept { return num_updates_; }
  /// The same by value, to be filled with saved moments: then resume() goes on from there.
  [[nodiscard]] const std::vector<at::Tensor>& exp_avg_parts() const noexcept { return exp_avg_parts_; }
  [[nodiscard]] const std::vector<at::Tensor>& exp_avg_sq_parts() const noexcept { return exp_avg_sq_parts_; }
  void resume(std::int64_t num_updates) noexcept { num_updates_ = num_updates; }

 private:
  void step_by_libtorch(at::TensorList gradients, const AdamWStep& step, at::TensorList narrow);

  OptimizerConfig config_;
  std::vector<at::Tensor> values_;
  at::Tensor exp_avg_;
  at::Tensor exp_avg_sq_;
  std::vector<at::Tensor> exp_avg_parts_;
  std::vector<at::Tensor> exp_avg_sq_parts_;
  std::int64_t num_updates_ = 0;
};

}  // namespace collimate
