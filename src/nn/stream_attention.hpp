#pragma once
// Attention over a whole stream, planned once for all of its layers and both passes.

#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/data/segment.hpp"
#include "collimate/nn/attention.hpp"
#include "collimate/nn/attention_plan.hpp"

namespace collimate::detail {

struct Qkv {
  at::Tensor q;  ///< [rows, heads, head_dim]
  at::Tensor k;  ///< [rows, key/value heads, head_dim]
  at::Tensor v;
};

/// Who is in a stream.
struct StreamRows {
  std::vector<Segment> segments;
  std::int64_t num_rows = 0;  ///< those in no segment included
};

/// What FlashAttention's kernels take.
constexpr bool flash_takes(at::ScalarType dtype, std::int64_t head_dim) {
  constexpr std::int64_t kMostHeadDim = 256;
  constexpr std::int64_t kHeadDimStep = 8;
  return dtype == at::kBFloat16 && head_dim <= kMostHeadDim && head_dim % kHeadDimStep == 0;
}

/// One stream on one device. *Local.*
class StreamAttention {
 public:
  StreamAttention() = default;
  virtual ~StreamAttention() = default;
  StreamAttention(const StreamAttention&) = delete;
  StreamAttention& operator=(const StreamAttention&) = delete;

  [[nodiscard]] virtual AttentionOutput attend(const Qkv& input, std::optional<std::int64_t> window) const = 0;
  /// `output` is that of attend().
  [[nodiscard]] virtual Qkv attend_backward(const Qkv& input, const AttentionOutput& output, const at::Tensor& grad_out,
                                            std::optional<std::int64_t> window) const = 0;
};

/// A block's rows and keys, [rows, heads, head_dim] each, and who sees whom.
struct BlockInput {
  const AttentionBlock& block;
  std::int64_t window;  ///< Of BlockMask::kBand.
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

struct BlockOutput {
  at::Tensor out;          ///< [rows, heads, head_dim]
  at::Tensor log_sum_exp;  ///< [rows, heads]
};

/// The rows' whole output, over all of their blocks, and its gradient.
struct BlockGradient {
  at::Tensor grad_out;
  BlockOutput output;
};

/// How a device computes one block.
struct BlockKernels {
  BlockOutput (*attend)(const BlockInput& input);
  Qkv (*attend_backward)(const BlockInput& input, const BlockGradient& gradient);
};

/// Attention block by block, merged through their log-sum-exp.
std::shared_ptr<const StreamAttention> attention_by_blocks(const StreamRows& rows, const BlockKernels& kernels);

/// Bool [num_rows, num_keys], true where a row of the block from `first_row` on does not see a key; for kCausal and
/// kBand.
at::Tensor hidden_keys(const BlockInput& input, std::int64_t first_row, std::int64_t num_rows, std::int64_t num_keys);

}  // namespace collimate::detail
