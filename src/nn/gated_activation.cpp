#include "collimate/nn/gated_activation.hpp"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device_kernels.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class SiluMultiplyFunction : public torch::autograd::Function<SiluMultiplyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return detail::kernels_for(gate.device()).gate({.gate = gate, .up = up});
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    const detail::Gated result =
        detail::kernels_for(grad.device()).gate_backward({.gate = saved[0], .up = saved[1]}, grad);
    return {result.gate, result.up};
  }
};

}  // namespace

at::Tensor silu_multiply(const at::Tensor& gate, const at::Tensor& up) { return SiluMultiplyFunction::apply(gate, up); }

}  // namespace collimate
