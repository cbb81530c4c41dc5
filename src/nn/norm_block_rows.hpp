#pragma once
// How a norm sums the gradient of its weight. Pure.

#include <cstdint>

namespace collimate::detail {

/// Sums are taken by blocks of this many rows, then over blocks: the same for every thread count.
inline constexpr std::int64_t kNormBlockRows = 64;
/// On a GPU: this many sums, each of every so manieth row.
inline constexpr std::int64_t kGpuNormBlocks = 528;

}  // namespace collimate::detail
