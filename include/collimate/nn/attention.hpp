#pragma once
// Attention over one packed stream: blocks of the (query, key) plane, which each device computes in its own way.

#include <cstdint>
#include <optional>
#include <span>

#include <ATen/core/Tensor.h>

#include "collimate/data/segment.hpp"

namespace collimate {

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
/// its prefix's. Rows in no segment give zeros. The two parts of a row with a prefix are merged through their
/// log-sum-exp (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, as in flash attention);
/// memory is linear in the stream, also with a window.
AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          std::span<const Segment> segments, std::optional<std::int64_t> window);

}  // namespace collimate
