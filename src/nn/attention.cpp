#include "collimate/nn/attention.hpp"

#include <utility>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include "borrowed.hpp"
#include "collimate/base/error.hpp"
#include "device_kernels.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the function takes besides tensors that have gradients.
struct AttentionCall {
  AttentionStream stream;
  std::optional<std::int64_t> window;
};

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionCall& call) {
    const AttentionOutput result = call.stream->attend({.q = q, .k = k, .v = v}, call.window);
    ctx->save_for_backward({q, k, v, result.out, result.log_sum_exp});
    ctx->saved_data["call"] = detail::keep(call);
    ctx->mark_non_differentiable({result.log_sum_exp});
    return {result.out, result.log_sum_exp};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto& call = detail::kept<AttentionCall>(ctx->saved_data["call"]);
    const variable_list saved = ctx->get_saved_variables();
    const detail::Qkv gradients =
        call.stream->attend_backward({.q = saved[0], .k = saved[1], .v = saved[2]},
                                     {.out = saved[3], .log_sum_exp = saved[4]}, grads[0].contiguous(), call.window);
    return {gradients.q, gradients.k, gradients.v, {}};
  }
};

}  // namespace

AttentionStream attention_stream(std::span<const Segment> segments, std::int64_t num_rows, at::Device device) {
  return detail::kernels_for(device).make_attention(
      {.segments = {segments.begin(), segments.end()}, .num_rows = num_rows}, device);
}

std::string slow_attention_reason(at::Device device, at::ScalarType dtype, std::int64_t head_dim) {
  if (!device.is_cuda() || detail::flash_takes(dtype, head_dim)) return "";
  return fmt::format(
      "FlashAttention takes bfloat16 and heads of up to 256 numbers, a multiple of 8; this is {} with {}",
      c10::toString(dtype), head_dim);
}

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionStream& stream,
                          std::optional<std::int64_t> window) {
  check(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes(), "q, k and v are [num_tokens, heads, head_dim]");
  check(q.size(0) == k.size(0) && q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0, "q and k fit together");
  variable_list outputs = AttentionFunction::apply(q, k, v, AttentionCall{.stream = stream, .window = window});
  return {.out = outputs[0], .log_sum_exp = outputs[1]};
}

}  // namespace collimate
