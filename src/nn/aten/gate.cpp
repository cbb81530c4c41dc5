#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include "../row_blocks.hpp"
#include "aten_kernels.hpp"

namespace collimate::detail::aten {

at::Tensor gate(const Gated& inputs) {
  const at::Tensor out = at::empty_like(inputs.gate);
  for_row_blocks(out, [&](std::int64_t row, std::int64_t count) {
    at::Tensor part = out.narrow(0, row, count);
    at::silu_out(part, inputs.gate.narrow(0, row, count));
    part.mul_(inputs.up.narrow(0, row, count));
  });
  return out;
}

Gated gate_backward(const Gated& inputs, const at::Tensor& grad) {
  Gated result{.gate = at::empty_like(grad), .up = at::empty_like(grad)};
  for_row_blocks(grad, [&](std::int64_t row, std::int64_t count) {
    const auto rows = [&](const at::Tensor& tensor) { return tensor.narrow(0, row, count); };
    at::Tensor gate_part = rows(result.gate);
    at::Tensor up_part = rows(result.up);
    at::silu_out(up_part, rows(inputs.gate));
    up_part.mul_(rows(grad));
    at::silu_backward_out(gate_part, rows(grad) * rows(inputs.up), rows(inputs.gate));
  });
  return result;
}

}  // namespace collimate::detail::aten
