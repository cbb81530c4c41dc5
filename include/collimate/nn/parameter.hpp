#pragma once
// A trainable tensor and the name under which the world knows it.

#include <string>

#include <ATen/core/Tensor.h>

namespace collimate {

/// One parameter of this rank's stage.
struct Parameter {
  std::string name;  ///< Hugging Face name (model/logical_tensor.hpp).
  at::Tensor value;  ///< Leaf in the model's dtype; its gradient accumulates in value.grad().
};

}  // namespace collimate
