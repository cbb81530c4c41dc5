// Our own CUDA kernels behind the table: tensors become pointers here.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "../aten/aten_kernels.hpp"
#include "collimate/base/error.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "cuda_kernels.hpp"
#include "launch.hpp"

namespace collimate::detail {

namespace cuda {

namespace {

Element element_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kBFloat16:
      return Element::kBfloat16;
    case at::kFloat:
      return Element::kFloat;
    case at::kDouble:
      return Element::kDouble;
    default:
      throw InvariantError("a model is in bfloat16, float32 or float64");
  }
}

Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

const void* in(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
void* out(const at::Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr() : nullptr; }

void check_launch(int error) { C10_CUDA_CHECK(static_cast<cudaError_t>(error)); }

at::Tensor empty_wide(at::IntArrayRef sizes, const at::Tensor& like) {
  return at::empty(sizes, like.options().dtype(wide_dtype(like.scalar_type())).requires_grad(false));
}

bool fits(const at::Tensor& weight) { return norm_fits(element_of(weight), static_cast<int>(weight.numel())); }

Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon) {
  if (!fits(weight)) return aten::normalize(x, delta, weight, epsilon);
  const std::int64_t num_rows = x.numel() / weight.numel();
  Normed result{.sum = delta.defined() ? at::empty_like(x) : x,
                .out = at::empty_like(x),
                .inverse_rms = empty_wide({num_rows, 1}, x)};
  if (num_rows == 0) return result;
  check_launch(launch_normalize({.element = element_of(x),
                                 .x = in(x),
                                 .delta = in(delta),
                                 .weight = in(weight),
                                 .sum = delta.defined() ? out(result.sum) : nullptr,
                                 .out = out(result.out),
                                 .inverse_rms = out(result.inverse_rms),
                                 .num_rows = num_rows,
                                 .size = static_cast<int>(weight.numel()),
                                 .epsilon = epsilon},
                                stream()));
  return result;
}

NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum) {
  if (!fits(saved.weight)) return aten::normalize_backward(saved, grad_out, grad_sum);
  NormGradients result{.x = at::empty_like(saved.x), .weight = {}};
  NormBackward norm{.element = element_of(saved.x),
                    .x = in(saved.x),
                    .weight = in(saved.weight),
                    .inverse_rms = in(saved.inverse_rms),
                    .grad_out = in(grad_out),
                    .grad_sum = in(grad_sum),
                    .grad_x = out(result.x),
                    .partial = nullptr,
                    .num_rows = saved.inverse_rms.numel(),
                    .size = static_cast<int>(saved.weight.numel())};
  const at::Tensor partial = empty_wide({norm_partial_rows(norm), norm.size}, saved.x);
  norm.partial = out(partial);
  check_launch(launch_normalize_backward(norm, stream()));
  result.weight = partial.sum(0);
  return result;
}

void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  if (from.numel() == 0) return;
  const std::int64_t half = cos.size(1);
  check_launch(launch_rotate({.element = element_of(from),
                              .from = in(from),
                              .to = out(to),
                              .cos = in(cos),
                              .sin = in(sin),
                              .num_tokens = from.size(0),
                              .num_heads = static_cast<int>(from.size(1) / (2 * half)),
                              .half = static_cast<int>(half),
                              .direction = direction},
                             stream()));
}

at::Tensor gate(const Gated& inputs) {
  const at::Tensor result = at::empty_like(inputs.gate);
  if (result.numel() == 0) return result;
  check_launch(launch_gate({.element = element_of(inputs.gate),
                            .gate = in(inputs.gate),
                            .up = in(inputs.up),
                            .grad = nullptr,
                            .first = out(result),
                            .second = nullptr,
                            .size = result.numel()},
                           stream()));
  return result;
}

Gated gate_backward(const Gated& inputs, const at::Tensor& grad) {
  Gated result{.gate = at::empty_like(grad), .up = at::empty_like(grad)};
  if (grad.numel() == 0) return result;
  check_launch(launch_gate_backward({.element = element_of(grad),
                                     .gate = in(inputs.gate),
                                     .up = in(inputs.up),
                                     .grad = in(grad),
                                     .first = out(result.gate),
                                     .second = out(result.up),
                                     .size = grad.numel()},
                                    stream()));
  return result;
}

Logits logits_of(const at::Tensor& logits, const LocalLabels& labels) {
  return {.element = element_of(logits),
          .logits = out(logits),
          .label = labels.index.const_data_ptr<std::int64_t>(),
          .is_local = labels.is_local.const_data_ptr<bool>(),
          .log_sum_exp = nullptr,
          .label_logit = nullptr,
          .num_rows = logits.size(0),
          .num_columns = static_cast<int>(logits.size(1))};
}

LogitStatistics logit_statistics(const at::Tensor& logits, const LocalLabels& labels) {
  LogitStatistics result{.log_sum_exp = empty_wide({logits.size(0)}, logits),
                         .label_logit = empty_wide({logits.size(0)}, logits)};
  Logits call = logits_of(logits, labels);
  call.log_sum_exp = out(result.log_sum_exp);
  call.label_logit = out(result.label_logit);
  check_launch(launch_logit_statistics(call, stream()));
  return result;
}

at::Tensor logit_gradient(const at::Tensor& logits, const at::Tensor& log_sum_exp, const LocalLabels& labels) {
  Logits call = logits_of(logits, labels);
  call.log_sum_exp = out(log_sum_exp);
  check_launch(launch_logit_gradient(call, stream()));
  return logits;
}

}  // namespace

}  // namespace cuda

const DeviceKernels* cuda_kernels() {
  static constexpr DeviceKernels kKernels{.make_attention = cuda::make_attention,
                                          .normalize = cuda::normalize,
                                          .normalize_backward = cuda::normalize_backward,
                                          .rotate = cuda::rotate,
                                          .gate = cuda::gate,
                                          .gate_backward = cuda::gate_backward,
                                          .logit_statistics = cuda::logit_statistics,
                                          .logit_gradient = cuda::logit_gradient};
  return &kKernels;
}

}  // namespace collimate::detail
