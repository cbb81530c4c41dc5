#pragma once
// A trainable tensor, the name under which the world knows it, and the part of it that this rank holds.

#include <string>

#include <ATen/core/Tensor.h>

#include "collimate/model/placement.hpp"

namespace collimate {

/// One parameter of this rank.
struct Parameter {
  std::string name;     ///< Hugging Face name (model/logical_tensor.hpp).
  at::Tensor value;     ///< Leaf in the model's dtype, this rank's part; its gradient accumulates in value.grad().
  Placement placement;  ///< Which part it is.
};

/// The part of a whole tensor that a placement says. A view.
inline at::Tensor part_of(const at::Tensor& whole, const Placement& placement) {
  return placement.dim < 0 ? whole : whole.narrow(placement.dim, placement.range.begin, placement.range.length);
}

}  // namespace collimate
