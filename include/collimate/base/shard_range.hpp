#pragma once
// How a range is divided among ranks: the one rule behind shards of tensors, of buffers and of rows.

#include <algorithm>
#include <cstdint>

namespace collimate {

/// Elements [begin, begin + length) of a dimension or buffer.
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  bool operator==(const ShardRange&) const = default;
};

/// The least number of parts of `divisor` that hold `value`.
constexpr std::int64_t divide_up(std::int64_t value, std::int64_t divisor) { return (value + divisor - 1) / divisor; }

/// Part number `index` of `num_parts` of [0, size): as even as can be, the larger ones first. Parts may be empty.
constexpr ShardRange shard_range(std::int64_t size, std::int64_t num_parts, std::int64_t index) {
  const std::int64_t even = size / num_parts;
  const std::int64_t num_larger = size % num_parts;
  return {.begin = index * even + std::min(index, num_larger), .length = even + (index < num_larger ? 1 : 0)};
}

}  // namespace collimate
