#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "aten_kernels.hpp"

namespace collimate::detail::aten {

void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  const std::int64_t half = cos.size(1);
  const auto halves = [&](const at::Tensor& tensor) {
    return tensor.view({tensor.size(0), tensor.size(1) / (2 * half), 2, half}).unbind(2);
  };
  const at::Tensor turn = sin.mul(direction).unsqueeze(1);
  const at::Tensor keep = cos.unsqueeze(1);
  const std::vector<at::Tensor> in = halves(from);
  const std::vector<at::Tensor> out = halves(to);
  // Both before either is written: they may be the same tensor.
  const at::Tensor low = in[0] * keep - in[1] * turn;
  const at::Tensor high = in[1] * keep + in[0] * turn;
  out[0].copy_(low);
  out[1].copy_(high);
}

}  // namespace collimate::detail::aten
