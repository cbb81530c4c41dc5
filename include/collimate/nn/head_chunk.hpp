#pragma once
// How many labelled rows the head handles at a time. Pure.

#include <algorithm>
#include <cstdint>

#include "collimate/comm/config.hpp"

namespace collimate {

/// Bounds the logits that exist at one time: on a CPU they stay near its caches, on a GPU a product must have rows
/// enough to fill it.
constexpr std::int64_t head_chunk_bytes(DeviceType device) {
  constexpr std::int64_t kMebibyte = std::int64_t{1024} * 1024;
  return device == DeviceType::kCuda ? 1024 * kMebibyte : 16 * kMebibyte;
}

/// Bytes of a logit where it is worked on: a GPU's kernels widen it in their registers.
constexpr std::int64_t logit_bytes(DeviceType device, std::int64_t element_bytes) {
  constexpr std::int64_t kFloatBytes = 4;
  return device == DeviceType::kCuda ? element_bytes : std::max(element_bytes, kFloatBytes);
}

/// Rows whose logits, of `row_bytes` each, fit in a chunk: at least one, and whole tiles of a product where there are
/// many.
constexpr std::int64_t head_chunk_rows(std::int64_t row_bytes, std::int64_t chunk_bytes) {
  constexpr std::int64_t kTile = 256;
  const std::int64_t rows = std::max<std::int64_t>(1, chunk_bytes / row_bytes);
  return rows < kTile ? rows : rows / kTile * kTile;
}

}  // namespace collimate
