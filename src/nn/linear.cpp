#include "collimate/nn/linear.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "borrowed.hpp"
#include "collimate/nn/product.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Inputs: x, then each layer's weight, followed by its bias if it has one; a bias is known by its one dimension.
class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList tensors,
                               WeightGradientQueue* queue) {
    variable_list saved{x};
    variable_list outputs;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const bool has_bias = i + 1 < tensors.size() && tensors[i + 1].dim() == 1;
      outputs.push_back(product(x, tensors[i], has_bias ? tensors[i + 1] : at::Tensor()));
      saved.push_back(tensors[i]);
      if (has_bias) saved.push_back(tensors[++i]);
    }
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["queue"] = detail::borrow(queue);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    auto* const queue = detail::borrowed<WeightGradientQueue>(ctx->saved_data["queue"]);
    const bool defers = queue != nullptr && queue->is_deferring();
    variable_list results(saved.size() + 1);
    std::size_t output_index = 0;
    for (std::size_t i = 1; i < saved.size(); ++i) {
      const bool is_bias = saved[i].dim() == 1;
      const at::Tensor& grad = grads[is_bias ? output_index - 1 : output_index++];
      if (ctx->needs_input_grad(i) && is_bias) results[i] = grad.sum(0);
      if (ctx->needs_input_grad(i) && !is_bias && !defers) results[i] = weight_gradient(grad, x);
      if (ctx->needs_input_grad(i) && !is_bias && defers) queue->leave(saved[i], grad, x);
      if (is_bias || !ctx->needs_input_grad(0)) continue;
      const at::Tensor& before = results[0];
      results[0] = before.defined() ? product_plus(grad, saved[i].t(), before) : product(grad, saved[i].t());
    }
    return results;
  }
};

}  // namespace

std::vector<at::Tensor> linear(const at::Tensor& x, std::span<const LinearWeight> weights, WeightGradientQueue* queue) {
  variable_list flat;
  for (const LinearWeight& layer : weights) {
    flat.push_back(layer.weight);
    if (layer.bias.defined()) flat.push_back(layer.bias);
  }
  return LinearFunction::apply(x, at::TensorList(flat), queue);
}

at::Tensor linear(const at::Tensor& x, const LinearWeight& weight, WeightGradientQueue* queue) {
  return linear(x, std::span(&weight, 1), queue)[0];
}

}  // namespace collimate
