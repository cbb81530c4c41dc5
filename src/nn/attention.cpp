#include "collimate/nn/attention.hpp"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/attention_plan.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "device_kernels.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Plan : torch::CustomClassHolder {
  std::vector<AttentionBlock> blocks;
  std::int64_t window = 0;  // 0: none
};

// Merges the result (out, lse) of some rows with that of further keys.
void merge(const at::Tensor& out, const at::Tensor& lse, const at::Tensor& more_out, const at::Tensor& more_lse) {
  const at::Tensor merged = at::logaddexp(lse, more_lse);
  const auto share = [&](const at::Tensor& part) { return (part - merged).exp_().unsqueeze(2); };
  out.copy_((out * share(lse)).add_(more_out * share(more_lse)));
  lse.copy_(merged);
}

// Views of a stream's q, k and v.
detail::BlockInput input_of(const AttentionBlock& block, const Plan& plan, const variable_list& qkv) {
  const auto keys = [&](const at::Tensor& tensor) { return tensor.narrow(0, block.k_begin, block.k_length); };
  return {.block = block,
          .window = plan.window,
          .q = qkv[0].narrow(0, block.q_begin, block.q_length),
          .k = keys(qkv[1]),
          .v = keys(qkv[2])};
}

AttentionOutput run_forward(const variable_list& qkv, const Plan& plan) {
  const at::Tensor& q = qkv[0];
  const auto attend = q.is_cpu() ? detail::cpu::attend : detail::aten::attend;
  AttentionOutput result{
      .out = at::zeros(q.sizes(), q.options()),
      .log_sum_exp = at::zeros({q.size(0), q.size(1)}, q.options().dtype(wide_dtype(q.scalar_type())))};
  for (const AttentionBlock& block : plan.blocks) {
    const detail::BlockOutput rows = attend(input_of(block, plan, qkv));
    at::Tensor out = result.out.narrow(0, block.q_begin, block.q_length);
    at::Tensor lse = result.log_sum_exp.narrow(0, block.q_begin, block.q_length);
    if (block.merges) {
      merge(out, lse, rows.out, rows.log_sum_exp);
    } else {
      out.copy_(rows.out);
      lse.copy_(rows.log_sum_exp);
    }
  }
  return result;
}

// Given the merged output and log-sum-exp, a block's probabilities and row sums come out as those of the whole softmax,
// so gradients of blocks simply add up.
variable_list run_backward(const variable_list& saved, const at::Tensor& grad_out, const Plan& plan) {
  const at::Tensor grad = grad_out.contiguous();
  const auto attend_backward = grad.is_cpu() ? detail::cpu::attend_backward : detail::aten::attend_backward;
  variable_list grads;
  for (std::size_t i = 0; i < 3; ++i) grads.push_back(at::zeros(saved[i].sizes(), saved[i].options()));
  for (const AttentionBlock& block : plan.blocks) {
    const auto rows = [&](const at::Tensor& tensor) { return tensor.narrow(0, block.q_begin, block.q_length); };
    const detail::QkvGradients part =
        attend_backward(input_of(block, plan, saved),
                        {.grad_out = rows(grad), .output = {.out = rows(saved[3]), .log_sum_exp = rows(saved[4])}});
    const detail::BlockInput sums = input_of(block, plan, grads);
    sums.q.add_(part.q);
    sums.k.add_(part.k);
    sums.v.add_(part.v);
  }
  return grads;
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const c10::intrusive_ptr<Plan>& plan) {
    AttentionOutput result = run_forward({q, k, v}, *plan);
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

at::Tensor detail::hidden_keys(const BlockInput& input, std::int64_t first_row, std::int64_t num_rows,
                               std::int64_t num_keys) {
  const auto options = input.q.options().dtype(at::kLong).requires_grad(false);
  const at::Tensor own = (at::arange(num_rows, options) + (first_row + input.block.diagonal)).unsqueeze(1);
  const at::Tensor key = at::arange(num_keys, options).unsqueeze(0);
  const at::Tensor ahead = key > own;
  return input.block.mask == BlockMask::kBand ? ahead | (key <= own - input.window) : ahead;
}

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
