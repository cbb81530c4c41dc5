#include "collimate/optim/gradient.hpp"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/zeros.h>

#include "collimate/optim/reduction_limits.hpp"

namespace collimate {

at::Tensor zero_if_finite(const at::Tensor& values) {
  if (values.numel() == 0) return at::zeros({}, values.options());
  // One pass without a temporary; both ends are NaN as soon as one value is.
  const auto [low, high] = at::aminmax(values);
  return low * 0.0 + high * 0.0;
}

at::Tensor sum_of_squares(const at::Tensor& values) {
  // libtorch's own norm squares float32 values in float32, whatever dtype it is told to sum in.
  at::Tensor squares = at::zeros({}, values.options().dtype(at::kDouble));
  for (const at::Tensor& piece : values.split(kNormPieceElements)) {
    const at::Tensor wide = piece.to(at::kDouble);
    squares.add_(wide.dot(wide));
  }
  return squares;
}

void clip_gradients(at::TensorList parts, double norm, double max_norm) {
  if (max_norm <= 0.0) return;
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1.0) return;
  for (const at::Tensor& part : parts) part.mul_(factor);
}

}  // namespace collimate
