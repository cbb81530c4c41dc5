#pragma once
// AdamW (Loshchilov and Hutter, arXiv 1711.05101) over flat buffers, by libtorch's own fused kernel.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "collimate/optim/config.hpp"

namespace collimate {

/// The moments of one flat buffer and the number of updates they have seen.
class AdamW {
 public:
  /// `values`: the flat parameters that will be updated; only their size and dtype matter here.
  AdamW(const OptimizerConfig& config, const at::Tensor& values);

  /// One update in place, equal to torch.optim.AdamW's with the same `learning_rate`. *Local.*
  void step(at::Tensor& values, const at::Tensor& gradients, double learning_rate);

  [[nodiscard]] const at::Tensor& exp_avg() const noexcept { return exp_avg_; }
  [[nodiscard]] const at::Tensor& exp_avg_sq() const noexcept { return exp_avg_sq_; }
  [[nodiscard]] std::int64_t num_updates() const noexcept { return num_updates_; }
  /// Continues from saved moments; shapes must be those of the buffer.
  void restore(const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq, std::int64_t num_updates);

 private:
  OptimizerConfig config_;
  at::Tensor exp_avg_;
  at::Tensor exp_avg_sq_;
  std::int64_t num_updates_ = 0;
};

}  // namespace collimate
