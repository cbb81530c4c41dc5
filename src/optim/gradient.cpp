#include "collimate/optim/gradient.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/zeros.h>

#include "collimate/optim/reduction_limits.hpp"
#include "device_update.hpp"

namespace collimate {

at::Tensor zero_if_finite(const at::Tensor& values) {
  if (values.numel() == 0) return at::zeros({}, values.options());
  // One pass without a temporary; both ends are NaN as soon as one value is.
  const auto [low, high] = at::aminmax(values);
  return low * 0.0 + high * 0.0;
}

at::Tensor sum_of_squares(const at::Tensor& values) {
  const detail::DeviceUpdate* const device = values.is_cuda() ? detail::cuda_update() : nullptr;
  if (device != nullptr && values.scalar_type() == at::kFloat) return device->sum_of_squares(values);
  // libtorch's own norm squares float32 values in float32, whatever dtype it is told to sum in.
  at::Tensor squares = at::zeros({}, values.options().dtype(at::kDouble));
  for (const at::Tensor& piece : values.split(kNormPieceElements)) {
    const at::Tensor wide = piece.to(at::kDouble);
    squares.add_(wide.dot(wide));
  }
  return squares;
}

double clip_factor(double norm, double max_norm) {
  return max_norm <= 0.0 ? 1.0 : std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace collimate
