#include "collimate/engine/determinism.hpp"

#include <ATen/Context.h>

namespace collimate {

void set_deterministic(bool is_deterministic) {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(is_deterministic, /*warn_only=*/false);
  // It is for finding reads of what nobody has written, and costs a pass over every new tensor.
  context.setDeterministicFillUninitializedMemory(false);
  context.setDeterministicCuDNN(is_deterministic);
  context.setBenchmarkCuDNN(false);
}

}  // namespace collimate
