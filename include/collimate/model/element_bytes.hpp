#pragma once
// Sizes of elements. Pure.

#include <algorithm>
#include <cstdint>

namespace collimate {

/// Bytes of an element of a sum over elements of `element_bytes`: gradients, moments and statistics are float32 at
/// least.
constexpr std::int64_t sum_element_bytes(std::int64_t element_bytes) {
  return std::max<std::int64_t>(4, element_bytes);
}

}  // namespace collimate
