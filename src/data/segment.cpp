#include "collimate/data/segment.hpp"

#include <algorithm>

namespace collimate {

std::vector<Segment> segments_of_pair(const PairLengths& lengths, const PairLayout& layout, std::int64_t begin) {
  const std::int64_t prompt = lengths.num_prompt_tokens;
  const Segment chosen{.begin = begin, .length = prompt + lengths.num_chosen_tokens};
  if (layout.responses == Responses::kChosenOnly) return {chosen};
  const std::int64_t rejected_begin = begin + chosen.length;
  if (!layout.prefix_sharing) {
    return {chosen, {.begin = rejected_begin, .length = prompt + lengths.num_rejected_tokens}};
  }
  return {
      chosen,
      {.begin = rejected_begin, .length = lengths.num_rejected_tokens, .prefix_begin = begin, .prefix_length = prompt}};
}

std::int64_t num_attended_keys(const Segment& segment, std::optional<std::int64_t> window) {
  // Row i sees min(prefix + i + 1, window) keys: a growing run, then a constant one.
  const std::int64_t most = window.value_or(segment.prefix_length + segment.length);
  const std::int64_t growing = std::clamp<std::int64_t>(most - segment.prefix_length, 0, segment.length);
  return growing * segment.prefix_length + growing * (growing + 1) / 2 + (segment.length - growing) * most;
}

std::int64_t num_attended_keys(std::span<const Segment> segments, std::optional<std::int64_t> window) {
  std::int64_t sum = 0;
  for (const Segment& segment : segments) sum += num_attended_keys(segment, window);
  return sum;
}

}  // namespace collimate
