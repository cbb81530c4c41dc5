// Attention on any device, in the two products that define it, for some rows at a time, so that memory stays linear in
// the stream.

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "aten_kernels.hpp"
#include "collimate/nn/wide_dtype.hpp"

namespace collimate::detail::aten {

namespace {

constexpr std::int64_t kChunkRows = 256;

// Some rows of a block and the keys that any of them sees.
struct Chunk {
  std::int64_t first_row;
  std::int64_t num_rows;
  std::int64_t num_keys;

  [[nodiscard]] at::Tensor rows(const at::Tensor& tensor) const { return tensor.narrow(0, first_row, num_rows); }
  // [kv heads, keys, head_dim], a view
  [[nodiscard]] at::Tensor keys(const at::Tensor& tensor) const {
    return tensor.narrow(0, 0, num_keys).transpose(0, 1);
  }
};

template <class Work>
void for_chunks(const AttentionBlock& block, const Work& work) {
  for (std::int64_t first = 0; first < block.q_length; first += kChunkRows) {
    const std::int64_t num_rows = std::min(kChunkRows, block.q_length - first);
    const bool is_causal = block.mask == BlockMask::kCausal;
    work(Chunk{.first_row = first, .num_rows = num_rows, .num_keys = is_causal ? first + num_rows : block.k_length});
  }
}

// [rows, heads, size] to [kv heads, heads of a group * rows, size], so that one product serves a group; and back.
at::Tensor grouped(const at::Tensor& rows, std::int64_t num_kv_heads) {
  const std::int64_t size = rows.size(2);
  const std::int64_t group = rows.size(1) / num_kv_heads;
  return rows.reshape({rows.size(0), num_kv_heads, group, size})
      .permute({1, 2, 0, 3})
      .reshape({num_kv_heads, group * rows.size(0), size});
}

at::Tensor ungrouped(const at::Tensor& groups, std::int64_t num_rows) {
  const std::int64_t size = groups.size(2);
  const std::int64_t group = groups.size(1) / num_rows;
  return groups.view({groups.size(0), group, num_rows, size})
      .permute({2, 0, 1, 3})
      .reshape({num_rows, groups.size(0) * group, size});
}

double scale_of(const BlockInput& input) { return 1.0 / std::sqrt(static_cast<double>(input.q.size(2))); }

// [kv heads, heads of a group * rows, keys], minus infinity where hidden.
at::Tensor scores_of(const BlockInput& input, const Chunk& chunk) {
  const std::int64_t num_kv_heads = input.k.size(1);
  const at::Tensor q = grouped(chunk.rows(input.q), num_kv_heads).mul(scale_of(input));
  at::Tensor scores = at::bmm(q, chunk.keys(input.k).transpose(1, 2));
  if (input.block.mask == BlockMask::kFull) return scores;
  const at::Tensor hidden = hidden_keys(input, chunk.first_row, chunk.num_rows, chunk.num_keys);
  scores.view({num_kv_heads, -1, chunk.num_rows, chunk.num_keys})
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  return scores;
}

BlockInput widened(const BlockInput& input) {
  const auto wide = [&](const at::Tensor& tensor) { return tensor.to(wide_dtype(tensor.scalar_type())); };
  return {.block = input.block, .window = input.window, .q = wide(input.q), .k = wide(input.k), .v = wide(input.v)};
}

}  // namespace

BlockOutput attend(const BlockInput& input) {
  const BlockInput wide = widened(input);
  BlockOutput result{.out = at::empty_like(wide.q),
                     .log_sum_exp = at::empty({wide.q.size(0), wide.q.size(1)}, wide.q.options())};
  for_chunks(wide.block, [&](const Chunk& chunk) {
    at::Tensor scores = scores_of(wide, chunk);
    const at::Tensor log_sum_exp = scores.logsumexp(2, true);
    const at::Tensor out = at::bmm(scores.sub_(log_sum_exp).exp_(), chunk.keys(wide.v));
    chunk.rows(result.out).copy_(ungrouped(out, chunk.num_rows));
    chunk.rows(result.log_sum_exp).copy_(ungrouped(log_sum_exp, chunk.num_rows).squeeze(2));
  });
  return result;
}

// Dao et al., "FlashAttention", arXiv 2205.14135, algorithm 4.
Qkv attend_backward(const BlockInput& input, const BlockGradient& gradient) {
  const BlockInput wide = widened(input);
  const std::int64_t num_kv_heads = wide.k.size(1);
  Qkv result{.q = at::empty_like(wide.q), .k = at::zeros_like(wide.k), .v = at::zeros_like(wide.v)};
  for_chunks(wide.block, [&](const Chunk& chunk) {
    const auto group_of = [&](const at::Tensor& rows) {
      return grouped(chunk.rows(rows).to(wide.q.scalar_type()), num_kv_heads);
    };
    const at::Tensor grad_out = group_of(gradient.grad_out);
    const at::Tensor log_sum_exp = group_of(gradient.output.log_sum_exp.unsqueeze(2));
    const at::Tensor probabilities = scores_of(wide, chunk).sub_(log_sum_exp).exp_();
    chunk.keys(result.v).add_(at::bmm(probabilities.transpose(1, 2), grad_out));
    const at::Tensor row_sums = (grad_out * group_of(gradient.output.out)).sum(2, true);
    const at::Tensor grad_scores =
        at::bmm(grad_out, chunk.keys(wide.v).transpose(1, 2)).sub_(row_sums).mul_(probabilities).mul_(scale_of(wide));
    chunk.rows(result.q).copy_(ungrouped(at::bmm(grad_scores, chunk.keys(wide.k)), chunk.num_rows));
    chunk.keys(result.k).add_(at::bmm(grad_scores.transpose(1, 2), group_of(wide.q)));
  });
  return result;
}

std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device /*device*/) {
  return attention_by_blocks(rows, {.attend = attend, .attend_backward = attend_backward});
}

}  // namespace collimate::detail::aten
