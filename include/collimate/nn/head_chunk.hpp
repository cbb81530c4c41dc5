#pragma once
// How many labelled rows the head handles at a time. Pure.

#include <algorithm>
#include <cstdint>

namespace collimate {

/// Bounds the logits that exist at one time.
inline constexpr std::int64_t kHeadChunkBytes = std::int64_t{16} * 1024 * 1024;

/// Rows whose logits, of `row_bytes` each, fit in a chunk: at least one.
constexpr std::int64_t head_chunk_rows(std::int64_t row_bytes, std::int64_t chunk_bytes = kHeadChunkBytes) {
  return std::max<std::int64_t>(1, chunk_bytes / row_bytes);
}

}  // namespace collimate
