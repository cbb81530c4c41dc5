#include "collimate/base/random.hpp"

#include <set>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(RandomTest, philox_equals_the_published_known_answers) {
  // kat_vectors of Random123: philox4x32 10, all zeros and all ones.
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(RandomTest, streams_differ_by_seed_purpose_and_index) {
  const std::set<std::uint64_t> values{RandomStream(1, "a").bits(0), RandomStream(2, "a").bits(0),
                                       RandomStream(1, "b").bits(0), RandomStream(1, "a", 1).bits(0),
                                       RandomStream(1, "a").bits(1)};
  EXPECT_EQ(values.size(), 5U);
}

TEST(RandomTest, below_is_uniform_within_its_bound) {
  const RandomStream stream(7, "dice");
  std::array<int, 6> counts{};
  for (std::uint64_t n = 0; n < 60000; ++n) ++counts.at(stream.below(n, 6));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
}

TEST(RandomTest, normal_has_mean_zero_and_variance_one) {
  const RandomStream stream(7, "weights");
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 100000;
  for (std::uint64_t n = 0; n < kDraws; ++n) {
    const double value = stream.normal(n);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.03);
}

}  // namespace
}  // namespace collimate
