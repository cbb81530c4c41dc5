#pragma once
// Attention over a packed stream as one call of a kernel for sequences of different lengths. Pure.

#include <cstdint>
#include <span>
#include <vector>

#include "collimate/base/shard_range.hpp"
#include "collimate/data/segment.hpp"

namespace collimate {

/// Sequences of rows and keys. Row i of R rows with K keys sees keys 0..i + K - R, and with a window w the last w of
/// them: so a segment's keys are those of its prefix and its own, which are gathered, and masks need no further word.
struct VarlenPlan {
  std::vector<std::int32_t> row_ends;  ///< Cumulative, from 0; every row of the stream is in a sequence.
  std::vector<std::int32_t> key_ends;  ///< Likewise, of the gathered keys.
  std::int64_t most_rows = 0;          ///< Of a sequence.
  std::int64_t most_keys = 0;
  /// The stream's row of each gathered key, and a row 0 behind them that belongs to no sequence; empty where the keys
  /// are the stream's rows as they stand.
  std::vector<std::int64_t> key_rows;
  /// Each row's places among the gathered keys, so that its gradient is a sum over lists: in the first one its own, in
  /// others that as a prefix, or the place behind all keys.
  std::vector<std::vector<std::int64_t>> places;
  std::vector<ShardRange> padding;  ///< Rows in no segment: sequences of their own, whose results mean nothing.
};

/// *Local.* `segments` do not overlap.
VarlenPlan plan_varlen(std::span<const Segment> segments, std::int64_t num_rows);

}  // namespace collimate
