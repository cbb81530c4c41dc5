// Attention on a CPU: a block is one call of libtorch's flash kernel.

#include <limits>
#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"

namespace collimate::detail::cpu {

namespace {

// [rows, heads, ...] as the kernel wants it: a view [1, heads, rows, ...]; and back.
at::Tensor kernel_view(const at::Tensor& tensor) { return tensor.transpose(0, 1).unsqueeze(0); }
at::Tensor rows_view(const at::Tensor& tensor) { return tensor.squeeze(0).transpose(0, 1); }

bool is_causal(const BlockInput& input) { return input.block.mask == BlockMask::kCausal; }

// The additive mask of a band, or nothing: the kernel knows the other masks itself.
std::optional<at::Tensor> additive_mask(const BlockInput& input) {
  if (input.block.mask != BlockMask::kBand) return std::nullopt;
  const at::Tensor hidden = hidden_keys(input, 0, input.block.q_length, input.block.k_length);
  return at::zeros(hidden.sizes(), input.q.options().requires_grad(false))
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

}  // namespace

BlockOutput attend(const BlockInput& input) {
  const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
      kernel_view(input.q), kernel_view(input.k), kernel_view(input.v), 0.0, is_causal(input), additive_mask(input));
  return {.out = rows_view(out), .log_sum_exp = rows_view(log_sum_exp)};
}

Qkv attend_backward(const BlockInput& input, const BlockGradient& gradient) {
  const auto [q, k, v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      kernel_view(gradient.grad_out), kernel_view(input.q), kernel_view(input.k), kernel_view(input.v),
      kernel_view(gradient.output.out), kernel_view(gradient.output.log_sum_exp), 0.0, is_causal(input),
      additive_mask(input));
  return {.q = rows_view(q), .k = rows_view(k), .v = rows_view(v)};
}

std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device /*device*/) {
  return attention_by_blocks(rows, {.attend = attend, .attend_backward = attend_backward});
}

}  // namespace collimate::detail::cpu
