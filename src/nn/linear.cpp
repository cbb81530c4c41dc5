#include "collimate/nn/linear.hpp"

#include <memory>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "borrowed.hpp"
#include "collimate/nn/product.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the function takes besides tensors that have gradients.
struct LinearCall {
  const LinearInput& input;
  WeightGradientQueue* queue;
};

// Inputs: x, then each layer's weight, followed by its bias if it has one; a bias is known by its one dimension. Saved:
// weights and biases, then what gives x.
class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  // `x` is call.input.value, where autograd can see it.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList tensors,
                               const LinearCall& call) {
    variable_list outputs;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const bool has_bias = i + 1 < tensors.size() && tensors[i + 1].dim() == 1;
      outputs.push_back(product(x, tensors[i], has_bias ? tensors[i + 1] : at::Tensor()));
      if (has_bias) ++i;
    }
    const auto& [value, sources, formula] = call.input;
    variable_list saved = tensors.vec();
    if (formula) {
      saved.insert(saved.end(), sources.begin(), sources.end());
      ctx->saved_data["formula"] = detail::keep(formula);
    } else {
      saved.push_back(x);
    }
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["num_parameters"] = static_cast<std::int64_t>(tensors.size());
    ctx->saved_data["queue"] = detail::borrow(call.queue);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto num_parameters = static_cast<std::size_t>(ctx->saved_data["num_parameters"].toInt());
    const auto input = kept_input(ctx, {saved.begin() + static_cast<std::ptrdiff_t>(num_parameters), saved.end()});
    auto* const queue = detail::borrowed<WeightGradientQueue>(ctx->saved_data["queue"]);
    const bool queue_takes = queue != nullptr && queue->takes_products();
    variable_list results(num_parameters + 2);
    std::size_t output_index = 0;
    for (std::size_t i = 0; i < num_parameters; ++i) {
      const bool is_bias = saved[i].dim() == 1;
      const at::Tensor& grad = grads[is_bias ? output_index - 1 : output_index++];
      at::Tensor& result = results[i + 1];
      if (ctx->needs_input_grad(i + 1) && is_bias) result = grad.sum(0);
      if (ctx->needs_input_grad(i + 1) && !is_bias && !queue_takes) result = weight_gradient(grad, input->value());
      if (ctx->needs_input_grad(i + 1) && !is_bias && queue_takes) queue->take(saved[i], grad, input);
      if (is_bias || !ctx->needs_input_grad(0)) continue;
      const at::Tensor& before = results[0];
      results[0] = before.defined() ? product_plus(grad, saved[i].t(), before) : product(grad, saved[i].t());
    }
    return results;
  }

 private:
  static std::shared_ptr<KeptInput> kept_input(AutogradContext* ctx, variable_list sources) {
    const auto formula = ctx->saved_data.find("formula");
    if (formula == ctx->saved_data.end()) return std::make_shared<KeptInput>(std::move(sources), InputFormula());
    return std::make_shared<KeptInput>(std::move(sources), detail::kept<InputFormula>(formula->second));
  }
};

}  // namespace

std::vector<at::Tensor> linear(const LinearInput& x, std::span<const LinearWeight> weights,
                               WeightGradientQueue* queue) {
  variable_list flat;
  for (const LinearWeight& layer : weights) {
    flat.push_back(layer.weight);
    if (layer.bias.defined()) flat.push_back(layer.bias);
  }
  return LinearFunction::apply(x.value, at::TensorList(flat), LinearCall{.input = x, .queue = queue});
}

at::Tensor linear(const LinearInput& x, const LinearWeight& weight, WeightGradientQueue* queue) {
  return linear(x, std::span(&weight, 1), queue)[0];
}

}  // namespace collimate
