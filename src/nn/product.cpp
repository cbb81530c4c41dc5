#include "collimate/nn/product.hpp"

#include <optional>
#include <string_view>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

namespace collimate {

namespace {

using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                             c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
using PointwiseBinary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, std::string_view);

bool takes_onednn(const at::Tensor& x, const at::Tensor& w) {
  return x.scalar_type() == at::kFloat && x.is_cpu() && x.numel() > 0 && w.numel() > 0;
}

// libtorch has no ATen function for oneDNN's fp32 linear; these registered operators are its only door.
at::Tensor onednn_product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Pointwise>();
  return op.call(x, w, bias.defined() ? std::optional(bias) : std::nullopt, "none",
                 c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor onednn_product_plus(const at::Tensor& x, const at::Tensor& w, const at::Tensor& addend) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "binary").typed<PointwiseBinary>();
  return op.call(x, addend, w, std::nullopt, "add");
}

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  if (takes_onednn(x, w)) return onednn_product(x, w, bias);
  return bias.defined() ? at::addmm(bias, x, w.t()) : at::mm(x, w.t());
}

at::Tensor product_plus(const at::Tensor& x, const at::Tensor& w, const at::Tensor& addend) {
  if (takes_onednn(x, w)) return onednn_product_plus(x, w, addend);
  return at::addmm(addend, x, w.t());
}

at::Tensor weight_gradient(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& addend) {
  // oneDNN wants its first operand contiguous, and so a copy of the transpose: let that be the smaller one.
  if (grad.size(1) > x.size(1)) return weight_gradient(x, grad, addend.defined() ? addend.t() : addend).t();
  return addend.defined() ? product_plus(grad.t(), x.t(), addend) : product(grad.t(), x.t());
}

void add_weight_gradient(const at::Tensor& sum, const at::Tensor& grad, const at::Tensor& x) {
  at::Tensor into = sum;
  if (!sum.is_cuda()) {
    into.add_(weight_gradient(grad, x));
  } else if (sum.scalar_type() == x.scalar_type()) {
    at::addmm_out(into, sum, grad.t(), x);
  } else {
    at::addmm_out(into, sum, grad.t(), x, sum.scalar_type());
  }
}

}  // namespace collimate
