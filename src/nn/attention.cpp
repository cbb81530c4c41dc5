// Attention on a CPU: each block of the plan is one call of libtorch's flash kernel.

#include <limits>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/attention.hpp"
#include "collimate/nn/attention_plan.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Plan : torch::CustomClassHolder {
  std::vector<AttentionBlock> blocks;
  std::int64_t window = 0;  // 0: none
};

// Rows of [num_tokens, heads, head_dim] as the kernel wants them: a view [1, heads, rows, head_dim].
at::Tensor kernel_view(const at::Tensor& tensor, std::int64_t begin, std::int64_t length) {
  return tensor.narrow(0, begin, length).transpose(0, 1).unsqueeze(0);
}

// Additive mask [q_length, k_length] of a band, or nothing.
std::optional<at::Tensor> block_mask(const AttentionBlock& block, std::int64_t window, const at::Tensor& like) {
  if (block.mask != BlockMask::kBand) return std::nullopt;
  const auto options = like.options().requires_grad(false);
  const at::Tensor own = at::arange(block.q_length, options.dtype(at::kLong)).unsqueeze(1) + block.diagonal;
  const at::Tensor key = at::arange(block.k_length, options.dtype(at::kLong)).unsqueeze(0);
  const at::Tensor hidden = (key > own) | (key <= own - window);
  return at::zeros({block.q_length, block.k_length}, options)
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

// Merges the result (out, lse) of some rows with that of further keys.
void merge(const at::Tensor& out, const at::Tensor& lse, const at::Tensor& more_out, const at::Tensor& more_lse) {
  const at::Tensor merged = at::logaddexp(lse, more_lse);
  const auto share = [&](const at::Tensor& part) { return (part - merged).exp_().to(out.scalar_type()).unsqueeze(2); };
  out.mul_(share(lse)).add_(more_out * share(more_lse));
  lse.copy_(merged);
}

AttentionOutput run_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Plan& plan) {
  const auto statistics_dtype = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  AttentionOutput result{.out = at::zeros(q.sizes(), q.options()),
                         .log_sum_exp = at::zeros({q.size(0), q.size(1)}, q.options().dtype(statistics_dtype))};
  for (const AttentionBlock& block : plan.blocks) {
    const auto [block_out, block_lse] = at::_scaled_dot_product_flash_attention_for_cpu(
        kernel_view(q, block.q_begin, block.q_length), kernel_view(k, block.k_begin, block.k_length),
        kernel_view(v, block.k_begin, block.k_length), 0.0, block.mask == BlockMask::kCausal,
        block_mask(block, plan.window, q));
    const at::Tensor rows_out = block_out.squeeze(0).transpose(0, 1);
    const at::Tensor rows_lse = block_lse.squeeze(0).transpose(0, 1);
    at::Tensor out = result.out.narrow(0, block.q_begin, block.q_length);
    at::Tensor lse = result.log_sum_exp.narrow(0, block.q_begin, block.q_length);
    if (block.merges) {
      merge(out, lse, rows_out, rows_lse);
    } else {
      out.copy_(rows_out);
      lse.copy_(rows_lse);
    }
  }
  return result;
}

// Given the merged output and log-sum-exp, a block's probabilities and row sums come out as those of the whole softmax,
// so gradients of blocks simply add up.
variable_list run_backward(const variable_list& saved, const at::Tensor& grad_out, const Plan& plan) {
  const auto& [q, k, v, out, lse] = std::tie(saved[0], saved[1], saved[2], saved[3], saved[4]);
  const at::Tensor grad = grad_out.contiguous();
  variable_list grads{at::zeros(q.sizes(), q.options()), at::zeros(k.sizes(), k.options()),
                      at::zeros(v.sizes(), v.options())};
  for (const AttentionBlock& block : plan.blocks) {
    const auto rows = [&](const at::Tensor& tensor) { return kernel_view(tensor, block.q_begin, block.q_length); };
    const auto keys = [&](const at::Tensor& tensor) { return kernel_view(tensor, block.k_begin, block.k_length); };
    const at::Tensor block_lse = lse.narrow(0, block.q_begin, block.q_length).transpose(0, 1).unsqueeze(0);
    const auto [grad_q, grad_k, grad_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        rows(grad), rows(q), keys(k), keys(v), rows(out), block_lse, 0.0, block.mask == BlockMask::kCausal,
        block_mask(block, plan.window, q));
    rows(grads[0]).add_(grad_q);
    keys(grads[1]).add_(grad_k);
    keys(grads[2]).add_(grad_v);
  }
  return grads;
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const c10::intrusive_ptr<Plan>& plan) {
    AttentionOutput result = run_forward(q, k, v, *plan);
    ctx->save_for_backward({q, k, v, result.out, result.log_sum_exp});
    ctx->saved_data["plan"] = c10::IValue::make_capsule(plan);
    ctx->mark_non_differentiable({result.log_sum_exp});
    return {result.out, result.log_sum_exp};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto plan = c10::static_intrusive_pointer_cast<Plan>(ctx->saved_data["plan"].toCapsule());
    variable_list results = run_backward(ctx->get_saved_variables(), grads[0], *plan);
    results.emplace_back();  // The plan has no gradient.
    return results;
  }
};

}  // namespace

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          std::span<const Segment> segments, std::optional<std::int64_t> window) {
  check(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes(), "q, k and v are [num_tokens, heads, head_dim]");
  check(q.size(0) == k.size(0) && q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0, "q and k fit together");
  auto plan = c10::make_intrusive<Plan>();
  plan->blocks = plan_attention(segments, window);
  plan->window = window.value_or(0);
  variable_list outputs = AttentionFunction::apply(q, k, v, plan);
  return {.out = outputs[0], .log_sum_exp = outputs[1]};
}

}  // namespace collimate
