#pragma once
// What updates are made to. Narrow parameters would lose them: an update is often smaller than half of their last bit.

#include <vector>

#include <ATen/core/Tensor.h>

namespace collimate {

/// The parameters' own parts if they are float32 or float64, else float32 copies of them.
class MasterWeights {
 public:
  /// `parts`: flat parts of the parameters, of one dtype; shared, not copied.
  explicit MasterWeights(std::vector<at::Tensor> parts);

  /// To be updated in place; afterwards write_back() rounds them into the parameters. *Local.*
  [[nodiscard]] const std::vector<at::Tensor>& parts() const noexcept { return masters_; }
  void write_back() const;
  /// The parameters' own parts where these are wider; else none.
  [[nodiscard]] at::TensorList narrow() const noexcept {
    return are_wider_ ? at::TensorList(parameters_) : at::TensorList();
  }

  /// Whether they have more digits than the parameters.
  [[nodiscard]] bool are_wider() const noexcept { return are_wider_; }

 private:
  std::vector<at::Tensor> parameters_;
  bool are_wider_;
  std::vector<at::Tensor> masters_;
};

}  // namespace collimate
