#include "collimate/nn/linear.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/nn/product.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Inputs: x, then weight and bias of each layer. A bias that is not there is an undefined tensor.
class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const variable_list& weights) {
    variable_list saved{x};
    variable_list outputs;
    for (std::size_t i = 0; i < weights.size(); i += 2) {
      saved.push_back(weights[i]);
      outputs.push_back(product(x, weights[i], weights[i + 1]));
    }
    ctx->save_for_backward(std::move(saved));
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    variable_list results(1 + 2 * grads.size());
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const at::Tensor& grad = grads[i];
      const at::Tensor& weight = saved[1 + i];
      if (ctx->needs_input_grad(0)) {
        results[0] = i == 0 ? product(grad, weight.t()) : product_plus(grad, weight.t(), results[0]);
      }
      if (ctx->needs_input_grad(1 + 2 * i)) results[1 + 2 * i] = weight_gradient(grad, x);
      if (ctx->needs_input_grad(2 + 2 * i)) results[2 + 2 * i] = grad.sum(0);
    }
    return results;
  }
};

}  // namespace

std::vector<at::Tensor> linear(const at::Tensor& x, std::span<const LinearWeight> weights) {
  variable_list flat;
  for (const LinearWeight& layer : weights) {
    flat.push_back(layer.weight);
    flat.push_back(layer.bias);
  }
  return LinearFunction::apply(x, flat);
}

at::Tensor linear(const at::Tensor& x, const LinearWeight& weight) { return linear(x, std::span(&weight, 1))[0]; }

}  // namespace collimate
