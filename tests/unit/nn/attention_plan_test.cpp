#include "collimate/nn/attention_plan.hpp"

#include <map>
#include <set>

#include <gmock/gmock.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/varlen_plan.hpp"

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

// What the sequences show, by the kernel's rule; padding shows nothing.
Visible visible_by_sequences(const VarlenPlan& plan, std::optional<std::int64_t> window) {
  Visible visible;
  for (std::size_t i = 0; i + 1 < plan.row_ends.size(); ++i) {
    const std::int64_t num_rows = plan.row_ends[i + 1] - plan.row_ends[i];
    const std::int64_t num_keys = plan.key_ends[i + 1] - plan.key_ends[i];
    EXPECT_LE(num_rows, plan.most_rows);
    EXPECT_LE(num_keys, plan.most_keys);
    for (std::int64_t row = 0; row < num_rows; ++row) {
      const std::int64_t last = row + num_keys - num_rows;
      for (std::int64_t key = window ? std::max<std::int64_t>(0, last - *window + 1) : 0; key <= last; ++key) {
        const std::int64_t place = plan.key_ends[i] + key;
        visible[plan.row_ends[i] + row].insert(plan.key_rows.empty() ? place
                                                                     : plan.key_rows[static_cast<std::size_t>(place)]);
      }
    }
  }
  for (const ShardRange& range : plan.padding) {
    for (std::int64_t row = range.begin; row < range.begin + range.length; ++row) visible.erase(row);
  }
  return visible;
}

TEST(VarlenPlanTest, shows_each_row_exactly_its_keys_once) {
  const std::vector<Segment> shared{{.begin = 5, .length = 75, .prefix_begin = 0, .prefix_length = 0},
                                    {.begin = 80, .length = 90, .prefix_begin = 5, .prefix_length = 30},
                                    {.begin = 170, .length = 0, .prefix_begin = 5, .prefix_length = 3},
                                    {.begin = 172, .length = 12, .prefix_begin = 5, .prefix_length = 40}};
  const std::vector<Segment> plain{{.begin = 0, .length = 9}, {.begin = 9, .length = 30}};
  for (const auto& segments : {shared, plain}) {
    const VarlenPlan plan = plan_varlen(segments, 190);
    for (const std::optional<std::int64_t> window :
         std::vector<std::optional<std::int64_t>>{std::nullopt, 1, 2, 7, 31, 33, 100, 119, 1000}) {
      EXPECT_EQ(visible_by_sequences(plan, window), visible_by_definition(segments, window)) << window.value_or(0);
    }
    EXPECT_EQ(plan.row_ends.back(), 190);
  }
}

TEST(VarlenPlanTest, every_gathered_key_is_a_place_of_its_row_once) {
  const std::vector<Segment> segments{{.begin = 0, .length = 10},
                                      {.begin = 10, .length = 4, .prefix_begin = 2, .prefix_length = 5},
                                      {.begin = 14, .length = 6, .prefix_begin = 0, .prefix_length = 8}};
  const VarlenPlan plan = plan_varlen(segments, 22);
  const std::int64_t num_keys = plan.key_ends.back();
  ASSERT_EQ(std::ssize(plan.key_rows), num_keys + 1);
  ASSERT_EQ(plan.places.size(), 3U);
  std::set<std::int64_t> seen;
  for (const auto& places : plan.places) {
    ASSERT_EQ(places.size(), 22U);
    for (std::size_t row = 0; row < places.size(); ++row) {
      if (places[row] == num_keys) continue;
      EXPECT_EQ(plan.key_rows[static_cast<std::size_t>(places[row])], static_cast<std::int64_t>(row));
      EXPECT_TRUE(seen.insert(places[row]).second);
    }
  }
  EXPECT_EQ(std::ssize(seen), num_keys);
}

TEST(VarlenPlanTest, streams_without_prefixes_gather_nothing_and_padding_is_told) {
  const VarlenPlan plan = plan_varlen(std::vector<Segment>{{.begin = 2, .length = 3}}, 9);
  EXPECT_TRUE(plan.key_rows.empty());
  EXPECT_THAT(plan.row_ends, ElementsAre(0, 2, 5, 9));
  EXPECT_THAT(plan.padding, ElementsAre(ShardRange{.begin = 0, .length = 2}, ShardRange{.begin = 5, .length = 4}));
  EXPECT_THAT(plan_varlen({}, 0).row_ends, ElementsAre(0));
  EXPECT_THROW(plan_varlen(std::vector<Segment>{{.begin = 0, .length = 3}, {.begin = 2, .length = 3}}, 9),
               InvariantError);
}

}  // namespace
}  // namespace collimate
