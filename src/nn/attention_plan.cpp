#include "collimate/nn/attention_plan.hpp"

#include <algorithm>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// Offsets below are positions inside the segment: its own rows are [0, length), its prefix [0, prefix_length).
void plan_own_keys(const Segment& segment, std::optional<std::int64_t> window, std::vector<AttentionBlock>& blocks) {
  if (!window || *window >= segment.length) {
    blocks.push_back({.q_begin = segment.begin,
                      .q_length = segment.length,
                      .k_begin = segment.begin,
                      .k_length = segment.length,
                      .mask = BlockMask::kCausal});
    return;
  }
  const std::int64_t step = max_block_rows(*window);
  for (std::int64_t row = 0; row < segment.length; row += step) {
    const std::int64_t end = std::min(row + step, segment.length);
    const std::int64_t first_key = std::max<std::int64_t>(0, row - *window + 1);
    blocks.push_back({.q_begin = segment.begin + row,
                      .q_length = end - row,
                      .k_begin = segment.begin + first_key,
                      .k_length = end - first_key,
                      .mask = BlockMask::kBand,
                      .diagonal = row - first_key});
  }
}

void plan_prefix(const Segment& segment, std::optional<std::int64_t> window, std::vector<AttentionBlock>& blocks) {
  const std::int64_t prefix = segment.prefix_length;
  if (!window || *window >= prefix + segment.length) {
    blocks.push_back({.q_begin = segment.begin,
                      .q_length = segment.length,
                      .k_begin = segment.prefix_begin,
                      .k_length = prefix,
                      .merges = true});
    return;
  }
  // Row i stands at position prefix + i; from row window - 1 on, the whole prefix is out of sight.
  const std::int64_t num_rows = std::min(segment.length, *window - 1);
  const std::int64_t step = max_block_rows(*window);
  for (std::int64_t row = 0; row < num_rows; row += step) {
    const std::int64_t end = std::min(row + step, num_rows);
    const std::int64_t first_key = std::max<std::int64_t>(0, prefix + row - *window + 1);
    const bool all_visible = prefix + (end - 1) - *window + 1 <= first_key;
    blocks.push_back({.q_begin = segment.begin + row,
                      .q_length = end - row,
                      .k_begin = segment.prefix_begin + first_key,
                      .k_length = prefix - first_key,
                      .mask = all_visible ? BlockMask::kFull : BlockMask::kBand,
                      .diagonal = all_visible ? 0 : prefix + row - first_key,
                      .merges = true});
  }
}

}  // namespace

std::int64_t max_block_rows(std::int64_t window) {
  constexpr std::int64_t kLeast = 32;
  constexpr std::int64_t kMost = 256;
  return std::clamp(window, kLeast, kMost);
}

std::vector<AttentionBlock> plan_attention(std::span<const Segment> segments, std::optional<std::int64_t> window) {
  check(!window || *window >= 1, "a sliding window holds at least the query itself");
  std::vector<AttentionBlock> blocks;
  for (const Segment& segment : segments) {
    if (segment.length == 0) continue;
    plan_own_keys(segment, window, blocks);
    if (segment.prefix_length > 0) plan_prefix(segment, window, blocks);
  }
  return blocks;
}

}  // namespace collimate
