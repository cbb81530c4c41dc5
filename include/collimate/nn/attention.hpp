#pragma once
// Attention over one packed stream, which each device computes in its own way.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "collimate/data/segment.hpp"

namespace collimate {

namespace detail {
class StreamAttention;
}

/// Who sees whom in a stream, lowered for a device once for all layers. Copies share it.
using AttentionStream = std::shared_ptr<const detail::StreamAttention>;

/// *Local.* A stream of `num_rows` rows; those in no segment are padding.
AttentionStream attention_stream(std::span<const Segment> segments, std::int64_t num_rows, at::Device device);

/// Why attention on a GPU goes block by block, which is slow: FlashAttention does not take this dtype or these heads.
/// Empty where it does, and for other devices. *Local.*
std::string slow_attention_reason(at::Device device, at::ScalarType dtype, std::int64_t head_dim);

struct AttentionOutput {
  at::Tensor out;  ///< [num_tokens, num_heads, head_dim], the dtype of q, contiguous.
  at::Tensor
      log_sum_exp;  ///< [num_tokens, num_heads] over all visible keys, float32 (float64 for float64); no gradient.
};

/// Scaled dot-product attention, scale head_dim^-1/2, differentiable in q, k and v. *Local.*
///
/// `q` is [num_tokens, num_heads, head_dim], `k` and `v` [num_tokens, num_kv_heads, head_dim], of any strides with a
/// contiguous last dimension. A row of a segment sees the rows of the segment up to itself and the whole prefix. With a
/// window, row i sees key j iff position(i) - window < position(j) <= position(i), where a segment's positions continue
/// its prefix's. Rows in no segment give zeros. Memory is linear in the stream, also with a window.
AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionStream& stream,
                          std::optional<std::int64_t> window);

}  // namespace collimate
