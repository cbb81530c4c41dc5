#include "collimate/nn/gated_activation.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "row_blocks.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class SiluMultiplyFunction : public torch::autograd::Function<SiluMultiplyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    const at::Tensor out = at::empty_like(gate);
    detail::for_row_blocks(gate, [&](std::int64_t row, std::int64_t count) {
      at::Tensor part = out.narrow(0, row, count);
      at::silu_out(part, gate.narrow(0, row, count));
      part.mul_(up.narrow(0, row, count));
    });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    const at::Tensor grad_gate = at::empty_like(grad);
    const at::Tensor grad_up = at::empty_like(grad);
    detail::for_row_blocks(grad, [&](std::int64_t row, std::int64_t count) {
      const auto rows = [&](const at::Tensor& tensor) { return tensor.narrow(0, row, count); };
      at::Tensor gate_part = rows(grad_gate);
      at::Tensor up_part = rows(grad_up);
      at::silu_out(up_part, rows(saved[0]));
      up_part.mul_(rows(grad));
      at::silu_backward_out(gate_part, rows(grad) * rows(saved[1]), rows(saved[0]));
    });
    return {grad_gate, grad_up};
  }
};

}  // namespace

at::Tensor silu_multiply(const at::Tensor& gate, const at::Tensor& up) { return SiluMultiplyFunction::apply(gate, up); }

}  // namespace collimate
