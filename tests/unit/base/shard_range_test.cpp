#include "collimate/base/shard_range.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(ShardRangeTest, parts_follow_one_another_and_cover_everything) {
  for (std::int64_t size = 0; size <= 20; ++size) {
    for (std::int64_t num_parts = 1; num_parts <= 9; ++num_parts) {
      std::int64_t end = 0;
      for (std::int64_t index = 0; index < num_parts; ++index) {
        const ShardRange part = shard_range(size, num_parts, index);
        EXPECT_EQ(part.begin, end) << "part " << index << " of " << num_parts << " of " << size;
        end = part.begin + part.length;
      }
      EXPECT_EQ(end, size) << num_parts << " parts";
    }
  }
}

TEST(ShardRangeTest, parts_differ_by_one_at_most_and_the_larger_ones_come_first) {
  for (std::int64_t size = 0; size <= 20; ++size) {
    for (std::int64_t num_parts = 1; num_parts <= 9; ++num_parts) {
      const std::int64_t first = shard_range(size, num_parts, 0).length;
      for (std::int64_t index = 1; index < num_parts; ++index) {
        const std::int64_t length = shard_range(size, num_parts, index).length;
        EXPECT_LE(length, shard_range(size, num_parts, index - 1).length);
        EXPECT_GE(length, first - 1) << "part " << index << " of " << num_parts << " of " << size;
      }
    }
  }
}

TEST(ShardRangeTest, a_small_range_leaves_the_last_parts_empty) {
  EXPECT_EQ(shard_range(2, 4, 1), (ShardRange{.begin = 1, .length = 1}));
  EXPECT_EQ(shard_range(2, 4, 3), (ShardRange{.begin = 2, .length = 0}));
}

TEST(ShardRangeTest, sizes_beyond_32_bits_are_exact) {
  constexpr std::int64_t kSize = (std::int64_t{1} << 40) + 1;
  EXPECT_EQ(shard_range(kSize, 2, 1), (ShardRange{.begin = (kSize + 1) / 2, .length = kSize / 2}));
}

}  // namespace
}  // namespace collimate
