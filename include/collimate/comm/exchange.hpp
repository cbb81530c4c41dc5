#pragma once
// What a reduction of the `mpi` backend holds besides its tensors. Pure.

#include <algorithm>
#include <cstdint>

#include "collimate/base/shard_range.hpp"

namespace collimate {

/// Most elements that a rank has received and not yet added, of all others together.
inline constexpr std::int64_t kMostExchangedElements = std::int64_t{2048} * 1024;

/// Elements of every rank's range that are exchanged at a time, for a tensor that `size` ranks reduce.
constexpr std::int64_t exchange_block_elements(std::int64_t elements, int size) {
  const std::int64_t most = std::max<std::int64_t>(1, kMostExchangedElements / std::max(1, size - 1));
  return std::clamp<std::int64_t>(shard_range(elements, size, 0).length, 1, most);
}

/// Bytes that a rank holds of the others while `size` ranks reduce a tensor.
constexpr std::int64_t exchange_bytes(std::int64_t elements, std::int64_t element_bytes, int size) {
  return size == 1 ? 0 : exchange_block_elements(elements, size) * (size - 1) * element_bytes;
}

}  // namespace collimate
