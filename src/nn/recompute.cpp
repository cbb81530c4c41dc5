#include "recompute.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "borrowed.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs, const ModelPart& part) {
    ctx->save_for_backward(inputs.vec());
    ctx->saved_data["part"] = detail::keep(part);
    ctx->set_materialize_grads(false);
    return part(inputs.vec());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list inputs;
    for (const at::Tensor& saved : ctx->get_saved_variables()) {
      inputs.push_back(saved.detach().requires_grad_(saved.requires_grad()));
    }
    differentiate(detail::kept<ModelPart>(ctx->saved_data["part"]), inputs, grads);
    variable_list results;
    for (const at::Tensor& input : inputs) results.push_back(input.grad());
    results.emplace_back();  // the part has no gradient
    return results;
  }

 private:
  // Parameters get their gradients inside, as in any backward pass.
  static void differentiate(const ModelPart& part, const variable_list& inputs, const variable_list& grads) {
    const at::AutoGradMode with_grad(true);
    const variable_list outputs = part(inputs);
    variable_list used;
    variable_list used_grads;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!grads[i].defined() || !outputs[i].requires_grad()) continue;
      used.push_back(outputs[i]);
      used_grads.push_back(grads[i]);
    }
    torch::autograd::backward(used, used_grads);
  }
};

}  // namespace

std::vector<at::Tensor> recomputed(const ModelPart& part, const std::vector<at::Tensor>& inputs) {
  if (!at::GradMode::is_enabled()) return part(inputs);
  return RecomputeFunction::apply(at::TensorList(inputs), part);
}

}  // namespace collimate
