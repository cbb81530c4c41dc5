#include "collimate/optim/gradient.hpp"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/aminmax.h>

namespace collimate {

void reduce_gradients(at::Tensor& gradients, Communicator& data) { data.all_reduce(gradients, ReduceOp::kSum); }

bool is_finite(const at::Tensor& gradients) {
  if (gradients.numel() == 0) return true;
  // One pass without a temporary; both ends are NaN as soon as one value is.
  const auto [low, high] = at::aminmax(gradients);
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

double global_norm(const at::Tensor& gradients) {
  // libtorch's own norm squares float32 values in float32, whatever dtype it is told to sum in.
  constexpr std::int64_t kPieceElements = 1 << 20;
  double squares = 0.0;
  for (const at::Tensor& piece : gradients.split(kPieceElements)) {
    const at::Tensor values = piece.to(at::kDouble);
    squares += values.dot(values).item<double>();
  }
  return std::sqrt(squares);
}

void clip_gradients(at::Tensor& gradients, double norm, double max_norm) {
  if (max_norm <= 0.0) return;
  const double factor = max_norm / (norm + 1e-6);
  if (factor < 1.0) gradients.mul_(factor);
}

}  // namespace collimate
