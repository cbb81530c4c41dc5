#include "embedding.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/embedding_dense_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/nn/wide_dtype.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LookUpFunction : public torch::autograd::Function<LookUpFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& table, const at::Tensor& index) {
    ctx->save_for_backward({index});
    ctx->saved_data["num_rows"] = table.size(0);
    return at::embedding(table, index);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor index = ctx->get_saved_variables()[0];
    const at::Tensor grad = grads[0].to(wide_dtype(grads[0].scalar_type()));
    const std::int64_t num_rows = ctx->saved_data["num_rows"].toInt();
    return {at::embedding_dense_backward(grad, index, num_rows, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false), {}};
  }
};

}  // namespace

at::Tensor look_up(const at::Tensor& table, const at::Tensor& index) { return LookUpFunction::apply(table, index); }

}  // namespace collimate
