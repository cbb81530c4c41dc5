#include "collimate/nn/attention_plan.hpp"

#include <map>
#include <set>

#include <gmock/gmock.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

using testing::ElementsAre;

using Visible = std::map<std::int64_t, std::multiset<std::int64_t>>;  // row -> keys

// The definition, pair by pair.
Visible visible_by_definition(const std::vector<Segment>& segments, std::optional<std::int64_t> window) {
  Visible visible;
  for (const Segment& segment : segments) {
    for (std::int64_t i = 0; i < segment.length; ++i) {
      const std::int64_t position = segment.prefix_length + i;
      for (std::int64_t key_position = 0; key_position <= position; ++key_position) {
        if (window && key_position <= position - *window) continue;
        const std::int64_t key = key_position < segment.prefix_length
                                     ? segment.prefix_begin + key_position
                                     : segment.begin + key_position - segment.prefix_length;
        visible[segment.begin + i].insert(key);
      }
    }
  }
  return visible;
}

bool block_shows(const AttentionBlock& block, std::int64_t row, std::int64_t key, std::optional<std::int64_t> window) {
  switch (block.mask) {
    case BlockMask::kFull:
      return true;
    case BlockMask::kCausal:
      return key <= row;
    case BlockMask::kBand:
      return key <= row + block.diagonal && key > row + block.diagonal - *window;
  }
  return false;
}

// What the blocks show; also checks that no row of a block is without keys and that merging follows writing.
Visible visible_by_plan(const std::vector<AttentionBlock>& blocks, std::optional<std::int64_t> window) {
  Visible visible;
  for (const AttentionBlock& block : blocks) {
    for (std::int64_t row = 0; row < block.q_length; ++row) {
      EXPECT_EQ(visible.contains(block.q_begin + row), block.merges);
      std::multiset<std::int64_t> keys;
      for (std::int64_t key = 0; key < block.k_length; ++key) {
        if (block_shows(block, row, key, window)) keys.insert(block.k_begin + key);
      }
      EXPECT_FALSE(keys.empty()) << "row " << row << " of the block at " << block.q_begin;
      visible[block.q_begin + row].insert(keys.begin(), keys.end());
    }
  }
  return visible;
}

TEST(AttentionPlanTest, shows_each_row_exactly_its_keys_once) {
  const std::vector<Segment> segments{{.begin = 0, .length = 75, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 75, .length = 90, .prefix_begin = 0, .prefix_length = 30},
                                      {.begin = 165, .length = 1, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 166, .length = 3, .prefix_begin = 165, .prefix_length = 1}};
  EXPECT_EQ(visible_by_plan(plan_attention(segments, std::nullopt), std::nullopt),
            visible_by_definition(segments, std::nullopt));
  for (const std::int64_t window : {1, 2, 3, 5, 29, 30, 31, 32, 33, 60, 75, 90, 119, 120, 121, 1000}) {
    SCOPED_TRACE(window);
    EXPECT_EQ(visible_by_plan(plan_attention(segments, window), window), visible_by_definition(segments, window));
  }
}

TEST(AttentionPlanTest, without_a_window_a_segment_takes_one_block_and_its_prefix_another) {
  const std::vector<Segment> segments{{.begin = 0, .length = 9, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 9, .length = 4, .prefix_begin = 0, .prefix_length = 5}};
  EXPECT_THAT(
      plan_attention(segments, std::nullopt),
      ElementsAre(AttentionBlock{.q_length = 9, .k_length = 9, .mask = BlockMask::kCausal},
                  AttentionBlock{.q_begin = 9, .q_length = 4, .k_begin = 9, .k_length = 4, .mask = BlockMask::kCausal},
                  AttentionBlock{.q_begin = 9, .q_length = 4, .k_length = 5, .merges = true}));
  EXPECT_EQ(plan_attention(segments, 9), plan_attention(segments, std::nullopt)) << "a window that hides nothing";
}

TEST(AttentionPlanTest, masks_stay_small_however_long_the_segment) {
  const std::vector<Segment> segments{{.begin = 0, .length = 100000, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 100000, .length = 100000, .prefix_begin = 0, .prefix_length = 60000}};
  for (const std::int64_t window : {1, 100, 4096}) {
    for (const AttentionBlock& block : plan_attention(segments, window)) {
      if (block.mask != BlockMask::kBand) continue;
      EXPECT_LE(block.q_length, max_block_rows(window));
      EXPECT_LE(block.k_length, window + max_block_rows(window));
    }
  }
}

TEST(AttentionPlanTest, empty_segments_take_no_block_and_an_empty_window_is_refused) {
  const std::vector<Segment> segments{{.begin = 3, .length = 0, .prefix_begin = 0, .prefix_length = 3}};
  EXPECT_TRUE(plan_attention(segments, std::nullopt).empty());
  EXPECT_THROW(plan_attention(segments, 0), InvariantError);
}

}  // namespace
}  // namespace collimate
