#include "collimate/nn/rms_norm.hpp"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device_kernels.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

detail::Normed run_forward(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon) {
  return detail::kernels_for(x.device()).normalize(x, delta, weight, epsilon);
}

detail::NormGradients norm_backward(const variable_list& tensors, const at::Tensor& grad_out,
                                    const at::Tensor& grad_sum) {
  const detail::NormSaved saved{.x = tensors[0], .weight = tensors[1], .inverse_rms = tensors[2]};
  const at::Tensor grad = grad_out.contiguous();
  const at::Tensor past = grad_sum.defined() ? grad_sum.contiguous() : grad_sum;
  return detail::kernels_for(grad.device()).normalize_backward(saved, grad, past);
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    detail::Normed normed = run_forward(x, {}, weight, epsilon);
    ctx->save_for_backward({x, weight, normed.inverse_rms});
    return normed.out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto [grad_x, grad_weight] = norm_backward(ctx->get_saved_variables(), grads[0], {});
    return {grad_x, grad_weight, {}};
  }
};

class AddRmsNormFunction : public torch::autograd::Function<AddRmsNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& delta,
                               const at::Tensor& weight, double epsilon) {
    detail::Normed normed = run_forward(x, delta, weight, epsilon);
    ctx->save_for_backward({normed.sum, weight, normed.inverse_rms});
    ctx->set_materialize_grads(false);
    return {normed.sum, normed.out};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[1].defined()) return {grads[0], grads[0], {}, {}};
    auto [grad_x, grad_weight] = norm_backward(ctx->get_saved_variables(), grads[1], grads[0]);
    return {grad_x, grad_x, grad_weight, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNormFunction::apply(x, weight, epsilon);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                                               double epsilon) {
  variable_list outputs = AddRmsNormFunction::apply(x, delta, weight, epsilon);
  return {outputs[0], outputs[1]};
}

}  // namespace collimate
