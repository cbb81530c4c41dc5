// Attention over a stream as blocks of the (query, key) plane. The parts of a row are merged through their log-sum-exp
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, as in flash attention).

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/attention_plan.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "stream_attention.hpp"

namespace collimate::detail {

namespace {

// Merges the result (out, lse) of some rows with that of further keys.
void merge(const at::Tensor& out, const at::Tensor& lse, const BlockOutput& more) {
  const at::Tensor merged = at::logaddexp(lse, more.log_sum_exp);
  const auto share = [&](const at::Tensor& part) { return (part - merged).exp_().unsqueeze(2); };
  out.copy_((out * share(lse)).add_(more.out * share(more.log_sum_exp)));
  lse.copy_(merged);
}

class BlockAttention final : public StreamAttention {
 public:
  BlockAttention(StreamRows rows, const BlockKernels& kernels) : rows_(std::move(rows)), kernels_(kernels) {}

  [[nodiscard]] AttentionOutput attend(const Qkv& input, std::optional<std::int64_t> window) const override {
    const at::Tensor& q = input.q;
    AttentionOutput result{
        .out = at::zeros(q.sizes(), q.options()),
        .log_sum_exp = at::zeros({q.size(0), q.size(1)}, q.options().dtype(wide_dtype(q.scalar_type())))};
    for (const AttentionBlock& block : blocks(input, window)) {
      const BlockOutput part = kernels_.attend(input_of(block, window, input));
      const at::Tensor out = result.out.narrow(0, block.q_begin, block.q_length);
      const at::Tensor lse = result.log_sum_exp.narrow(0, block.q_begin, block.q_length);
      if (block.merges) {
        merge(out, lse, part);
      } else {
        out.copy_(part.out);
        lse.copy_(part.log_sum_exp);
      }
    }
    return result;
  }

  // Given the merged output and log-sum-exp, a block's probabilities and row sums come out as those of the whole
  // softmax, so gradients of blocks simply add up.
  [[nodiscard]] Qkv attend_backward(const Qkv& input, const AttentionOutput& output, const at::Tensor& grad_out,
                                    std::optional<std::int64_t> window) const override {
    const auto zeros_like = [](const at::Tensor& tensor) { return at::zeros(tensor.sizes(), tensor.options()); };
    const Qkv grads{.q = zeros_like(input.q), .k = zeros_like(input.k), .v = zeros_like(input.v)};
    for (const AttentionBlock& block : blocks(input, window)) {
      const auto rows = [&](const at::Tensor& tensor) { return tensor.narrow(0, block.q_begin, block.q_length); };
      const Qkv part = kernels_.attend_backward(
          input_of(block, window, input),
          {.grad_out = rows(grad_out), .output = {.out = rows(output.out), .log_sum_exp = rows(output.log_sum_exp)}});
      const BlockInput sums = input_of(block, window, grads);
      sums.q.add_(part.q);
      sums.k.add_(part.k);
      sums.v.add_(part.v);
    }
    return grads;
  }

 private:
  // Planned anew each time: microseconds beside a call's work.
  [[nodiscard]] std::vector<AttentionBlock> blocks(const Qkv& input, std::optional<std::int64_t> window) const {
    check(input.q.size(0) == rows_.num_rows, "attention is given the stream that it was planned for");
    return plan_attention(rows_.segments, window);
  }

  // Views of a stream's q, k and v.
  static BlockInput input_of(const AttentionBlock& block, std::optional<std::int64_t> window, const Qkv& qkv) {
    const auto keys = [&](const at::Tensor& tensor) { return tensor.narrow(0, block.k_begin, block.k_length); };
    return {.block = block,
            .window = window.value_or(0),
            .q = qkv.q.narrow(0, block.q_begin, block.q_length),
            .k = keys(qkv.k),
            .v = keys(qkv.v)};
  }

  StreamRows rows_;
  BlockKernels kernels_;
};

}  // namespace

std::shared_ptr<const StreamAttention> attention_by_blocks(const StreamRows& rows, const BlockKernels& kernels) {
  return std::make_shared<BlockAttention>(rows, kernels);
}

at::Tensor hidden_keys(const BlockInput& input, std::int64_t first_row, std::int64_t num_rows, std::int64_t num_keys) {
  const auto options = input.q.options().dtype(at::kLong).requires_grad(false);
  const at::Tensor own = (at::arange(num_rows, options) + (first_row + input.block.diagonal)).unsqueeze(1);
  const at::Tensor key = at::arange(num_keys, options).unsqueeze(0);
  const at::Tensor ahead = key > own;
  return input.block.mask == BlockMask::kBand ? ahead | (key <= own - input.window) : ahead;
}

}  // namespace collimate::detail
