#pragma once
// What may attend to what in a packed token stream: causal segments, each with an optional shared prefix. The one
// description behind attention, the packer's costs and the FLOP counts of `mfu`.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "collimate/data/pair.hpp"

namespace collimate {

/// Rows [begin, begin + length) of the stream are causal among themselves and attend to all rows of the prefix
/// [prefix_begin, prefix_begin + prefix_length), which directly precedes them in position though not in the stream.
struct Segment {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  std::int64_t prefix_begin = 0;
  std::int64_t prefix_length = 0;
  bool operator==(const Segment&) const = default;
};

/// The segments of one pair whose first row is `begin`, in stream order. With prefix sharing: prompt and chosen as one
/// causal run, then rejected with the prompt as its prefix; without: prompt + chosen, then prompt + rejected.
std::vector<Segment> segments_of_pair(const PairLengths& lengths, const PairLayout& layout, std::int64_t begin);

/// (query, key) pairs that attention computes, each row's own key included. With a sliding `window` a row sees at most
/// `window` keys, itself included: those at positions in (position - window, position].
std::int64_t num_attended_keys(const Segment& segment, std::optional<std::int64_t> window = std::nullopt);
std::int64_t num_attended_keys(std::span<const Segment> segments, std::optional<std::int64_t> window = std::nullopt);

}  // namespace collimate
