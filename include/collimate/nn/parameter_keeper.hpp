#pragma once
// Who looks after a rank's parameters while stages compute: the optimizer's side, seen from the layers.

#include <functional>
#include <span>

#include <ATen/core/Tensor.h>

namespace collimate {

/// Adds one gradient to a sum.
using AddGradient = std::function<void(const at::Tensor& sum)>;

/// Is told when parameters are read and what gradients they get. Parameters are those of one ModelShard, by identity.
class ParameterKeeper {
 public:
  ParameterKeeper() = default;
  virtual ~ParameterKeeper() = default;
  ParameterKeeper(const ParameterKeeper&) = delete;
  ParameterKeeper& operator=(const ParameterKeeper&) = delete;

  /// *Local.* A forward pass is about to read these parameters, and none of those it waited for before: returns when
  /// their values are there.
  virtual void wait_for_values(std::span<const at::Tensor> parameters) = 0;
  /// *Local.* A backward pass begins that leaves nothing of its stage and microbatch for later.
  virtual void begin_gradients(int stage) = 0;
  /// *Local.* Calls `add` with where the parameter's gradients add up, in its shape and a dtype for sums: the parameter
  /// itself keeps none.
  virtual void add_gradient(const at::Tensor& parameter, const AddGradient& add) = 0;
  /// *Local.* The gradients of a stage's parameters are whole for one more microbatch.
  virtual void finish_gradients(int stage) = 0;
};

}  // namespace collimate
