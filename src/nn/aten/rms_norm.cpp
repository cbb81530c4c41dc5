#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include "aten_kernels.hpp"
#include "collimate/nn/wide_dtype.hpp"

namespace collimate::detail::aten {

Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon) {
  const at::Tensor sum = delta.defined() ? x + delta : x;
  const at::Tensor rows = sum.view({-1, weight.numel()}).to(wide_dtype(sum.scalar_type()));
  const at::Tensor inverse_rms = rows.square().mean(1, true).add_(epsilon).rsqrt_();
  // A tensor of its own, no view: heads are rotated in place afterwards.
  const at::Tensor out = at::empty_like(sum);
  out.view_as(rows).copy_((rows * inverse_rms).mul_(weight));
  return {.sum = sum, .out = out, .inverse_rms = inverse_rms};
}

NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum) {
  const at::Tensor normed = saved.x.view({-1, saved.weight.numel()}) * saved.inverse_rms;
  const at::Tensor grad = grad_out.view_as(normed).to(normed.scalar_type());
  const at::Tensor weighted = grad * saved.weight;
  const at::Tensor along = (weighted * normed).mean(1, true);
  at::Tensor grad_x = (weighted - normed * along).mul_(saved.inverse_rms).view_as(saved.x);
  if (grad_sum.defined()) grad_x.add_(grad_sum);
  return {.x = grad_x.to(saved.x.scalar_type()), .weight = (grad * normed).sum(0)};
}

}  // namespace collimate::detail::aten
