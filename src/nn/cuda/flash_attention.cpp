// Attention over a stream by FlashAttention (Dao, arXiv 2307.08691), as libtorch has it: one call forward, one back.

#include <array>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include "../aten/aten_kernels.hpp"
#include "../upload.hpp"
#include "collimate/base/error.hpp"
#include "collimate/nn/varlen_plan.hpp"
#include "cuda_kernels.hpp"

namespace collimate::detail::cuda {

namespace {

bool takes(const at::Tensor& q) { return q.size(0) > 0 && flash_takes(q.scalar_type(), q.size(2)); }

double scale_of(const at::Tensor& q) { return 1.0 / std::sqrt(static_cast<double>(q.size(2))); }

// The kernel's word for a window: keys before a row's own.
std::optional<std::int64_t> keys_before(std::optional<std::int64_t> window) {
  return window ? std::optional(*window - 1) : std::nullopt;
}

class FlashAttention final : public StreamAttention {
 public:
  FlashAttention(const StreamRows& rows, at::Device device)
      : plan_(plan_varlen(rows.segments, rows.num_rows)),
        num_rows_(rows.num_rows),
        row_ends_(upload(plan_.row_ends, device)),
        key_ends_(upload(plan_.key_ends, device)),
        no_dropout_{at::empty({2}, at::TensorOptions(device).dtype(at::kUInt64)),
                    at::empty({}, at::TensorOptions(device).dtype(at::kUInt64))},
        by_blocks_(aten::make_attention(rows, device)) {
    if (plan_.key_rows.empty()) return;
    key_rows_ = upload(plan_.key_rows, device);
    for (const auto& places : plan_.places) places_.push_back(upload(places, device));
  }

  [[nodiscard]] AttentionOutput attend(const Qkv& input, std::optional<std::int64_t> window) const override {
    if (!takes(input.q)) return by_blocks_->attend(input, window);
    check(input.q.size(0) == num_rows_, "attention is given the stream that it was planned for");
    auto [out, log_sum_exp, rng_state, unused, mask] = at::_flash_attention_forward(
        input.q, keys(input.k), keys(input.v), row_ends_, key_ends_, plan_.most_rows, plan_.most_keys, 0.0,
        /*is_causal=*/true, /*return_debug_mask=*/false, scale_of(input.q), keys_before(window), std::nullopt);
    const AttentionOutput result{.out = out, .log_sum_exp = log_sum_exp.t()};
    zero_padding(result.out);
    zero_padding(result.log_sum_exp);
    return result;
  }

  [[nodiscard]] Qkv attend_backward(const Qkv& input, const AttentionOutput& output, const at::Tensor& grad_out,
                                    std::optional<std::int64_t> window) const override {
    if (!takes(input.q)) return by_blocks_->attend_backward(input, output, grad_out, window);
    const auto [q, k, v] = at::_flash_attention_backward(
        grad_out, input.q, keys(input.k), keys(input.v), output.out, output.log_sum_exp.t().contiguous(), row_ends_,
        key_ends_, plan_.most_rows, plan_.most_keys, 0.0, /*is_causal=*/true, no_dropout_[0], no_dropout_[1],
        scale_of(input.q), keys_before(window), std::nullopt);
    Qkv grads{.q = q, .k = sum_over_places(k), .v = sum_over_places(v)};
    for (const at::Tensor& grad : {grads.q, grads.k, grads.v}) zero_padding(grad);
    return grads;
  }

 private:
  [[nodiscard]] at::Tensor keys(const at::Tensor& rows) const {
    return key_rows_.defined() ? rows.index_select(0, key_rows_) : rows;
  }

  // Gradients of gathered keys as those of the stream's rows. Behind the keys stands a row that the kernel leaves as it
  // was.
  [[nodiscard]] at::Tensor sum_over_places(const at::Tensor& gathered) const {
    if (!key_rows_.defined()) return gathered;
    gathered.narrow(0, gathered.size(0) - 1, 1).zero_();
    at::Tensor sum = gathered.index_select(0, places_.front());
    for (std::size_t i = 1; i < places_.size(); ++i) sum.add_(gathered.index_select(0, places_[i]));
    return sum;
  }

  void zero_padding(const at::Tensor& rows) const {
    for (const ShardRange& range : plan_.padding) rows.narrow(0, range.begin, range.length).zero_();
  }

  VarlenPlan plan_;
  std::int64_t num_rows_;
  at::Tensor row_ends_;
  at::Tensor key_ends_;
  at::Tensor key_rows_;                   // undefined where keys are the stream's rows
  std::vector<at::Tensor> places_;        // likewise
  std::array<at::Tensor, 2> no_dropout_;  // what the kernel would read with dropout
  std::shared_ptr<const StreamAttention> by_blocks_;
};

}  // namespace

std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device device) {
  return std::make_shared<FlashAttention>(rows, device);
}

}  // namespace collimate::detail::cuda
