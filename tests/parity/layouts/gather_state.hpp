#pragma once
// The whole state of a policy, on one rank.

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/train/policy.hpp"

namespace collimate::test {

struct NamedTensor {
  std::string name;
  at::Tensor value;
};

/// Tensors of one kind by logical name: "model", "exp_avg", "exp_avg_sq".
struct TensorGroup {
  std::string name;
  std::vector<NamedTensor> tensors;
};

/// *Collective.* What the ranks would save, put together as a checkpoint's reader does, in the order model, moments; on
/// rank 0, empty elsewhere. Every element must come from one rank.
std::vector<TensorGroup> gather_state(Policy& policy, Communicator& world);

}  // namespace collimate::test
