#pragma once
// What bounds the memory of reductions. Pure.

#include <cstddef>
#include <cstdint>

namespace collimate {

/// Whole buckets that a reducer at ZeRO stage 2 keeps while they are reduced; one more waits for the first of them.
inline constexpr std::size_t kMostReductionsInFlight = 2;

/// Elements of which a norm has float64 copies at a time.
inline constexpr std::int64_t kNormPieceElements = std::int64_t{1024} * 1024;

}  // namespace collimate
