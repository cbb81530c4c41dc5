#include "collimate/data/segment.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace collimate {
namespace {

constexpr PairLengths kPairLengths{.num_prompt_tokens = 3, .num_chosen_tokens = 5, .num_rejected_tokens = 2};

TEST(SegmentTest, shared_prefix_is_the_prompt_of_the_first_segment) {
  const auto segments = segments_of_pair(kPairLengths, {.prefix_sharing = true, .responses = Responses::kBoth}, 100);
  const std::vector<Segment> expected{{.begin = 100, .length = 8},
                                      {.begin = 108, .length = 2, .prefix_begin = 100, .prefix_length = 3}};
  EXPECT_EQ(segments, expected);
}

TEST(SegmentTest, segments_are_plain_without_sharing) {
  const auto segments = segments_of_pair(kPairLengths, {.prefix_sharing = false, .responses = Responses::kBoth}, 100);
  EXPECT_EQ(segments, (std::vector<Segment>{{.begin = 100, .length = 8}, {.begin = 108, .length = 5}}));
}

TEST(SegmentTest, chosen_alone_is_one_segment) {
  const auto segments =
      segments_of_pair(kPairLengths, {.prefix_sharing = true, .responses = Responses::kChosenOnly}, 100);
  EXPECT_EQ(segments, (std::vector<Segment>{{.begin = 100, .length = 8}}));
}

TEST(SegmentTest, attended_keys_equal_a_count_row_by_row) {
  for (const std::int64_t prefix : {0, 1, 4, 9}) {
    for (const std::int64_t length : {1, 2, 7}) {
      const Segment segment{.begin = 20, .length = length, .prefix_begin = 3, .prefix_length = prefix};
      for (std::int64_t window = 1; window <= prefix + length + 1; ++window) {
        std::int64_t expected = 0;
        for (std::int64_t row = 0; row < length; ++row) expected += std::min(prefix + row + 1, window);
        EXPECT_EQ(num_attended_keys(segment, window), expected) << prefix << " " << length << " " << window;
      }
      std::int64_t all = 0;
      for (std::int64_t row = 0; row < length; ++row) all += prefix + row + 1;
      EXPECT_EQ(num_attended_keys(segment), all) << prefix << " " << length;
    }
  }
}

TEST(SegmentTest, sharing_saves_the_prompts_own_attention_only) {
  const auto shared = segments_of_pair(kPairLengths, {.prefix_sharing = true, .responses = Responses::kBoth}, 0);
  const auto plain = segments_of_pair(kPairLengths, {.prefix_sharing = false, .responses = Responses::kBoth}, 0);
  EXPECT_EQ(num_attended_keys(plain) - num_attended_keys(shared), 3 * 4 / 2);
}

}  // namespace
}  // namespace collimate
