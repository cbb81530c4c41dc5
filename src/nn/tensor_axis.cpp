#include "collimate/nn/tensor_axis.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "borrowed.hpp"
#include "collimate/base/shard_range.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor sum_over(const at::Tensor& tensor, Communicator& group) {
  at::Tensor sum = tensor.clone(at::MemoryFormat::Contiguous);
  group.all_reduce(sum, ReduceOp::kSum);
  return sum;
}

at::Tensor gather_rows(const at::Tensor& rows, Communicator& group) {
  at::Tensor all = at::empty({rows.size(0) * group.size(), rows.size(1)}, rows.options().requires_grad(false));
  group.all_gather(all, rows.contiguous());
  return all;
}

at::Tensor scatter_sums(const at::Tensor& partial, Communicator& group) {
  at::Tensor own = at::empty({partial.size(0) / group.size(), partial.size(1)}, partial.options().requires_grad(false));
  group.reduce_scatter(own, partial.contiguous());
  return own;
}

// Forward and backward of one function are backward and forward of the other. The axis outlives the graph.
void remember(AutogradContext* ctx, const TensorAxis& axis) {
  ctx->saved_data["group"] = detail::borrow(axis.group);
  ctx->saved_data["divides_rows"] = axis.divides_rows();
}

Communicator& remembered_group(AutogradContext* ctx) {
  return *detail::borrowed<Communicator>(ctx->saved_data["group"]);
}

class EnterFunction : public torch::autograd::Function<EnterFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& residual, const TensorAxis& axis) {
    remember(ctx, axis);
    return axis.divides_rows() ? gather_rows(residual, *axis.group) : residual.view_as(residual);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    Communicator& group = remembered_group(ctx);
    const bool divides_rows = ctx->saved_data["divides_rows"].toBool();
    return {divides_rows ? scatter_sums(grads[0], group) : sum_over(grads[0], group), {}};
  }
};

class LeaveFunction : public torch::autograd::Function<LeaveFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& partial, const TensorAxis& axis) {
    remember(ctx, axis);
    return axis.divides_rows() ? scatter_sums(partial, *axis.group) : sum_over(partial, *axis.group);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const bool divides_rows = ctx->saved_data["divides_rows"].toBool();
    return {divides_rows ? gather_rows(grads[0], remembered_group(ctx)) : grads[0], {}};
  }
};

}  // namespace

std::int64_t TensorAxis::padded_rows(std::int64_t num_tokens) const {
  return residual_rows(num_tokens) * (divides_rows() ? size() : 1);
}

std::int64_t TensorAxis::residual_rows(std::int64_t num_tokens) const {
  return divides_rows() ? divide_up(num_tokens, size()) : num_tokens;
}

at::Tensor enter_tensor_axis(const at::Tensor& residual, const TensorAxis& axis) {
  return axis.size() == 1 ? residual : EnterFunction::apply(residual, axis);
}

at::Tensor leave_tensor_axis(const at::Tensor& partial, const TensorAxis& axis) {
  return axis.size() == 1 ? partial : LeaveFunction::apply(partial, axis);
}

}  // namespace collimate
