#include "collimate/data/pair.hpp"

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

constexpr PairLengths kLengths{.num_prompt_tokens = 3, .num_chosen_tokens = 5, .num_rejected_tokens = 2};

TEST(PairTest, stream_holds_the_prompt_once_a_segment) {
  EXPECT_EQ(num_stream_tokens(kLengths, {.prefix_sharing = true, .responses = Responses::kBoth}), 10);
  EXPECT_EQ(num_stream_tokens(kLengths, {.prefix_sharing = false, .responses = Responses::kBoth}), 13);
  EXPECT_EQ(num_stream_tokens(kLengths, {.prefix_sharing = true, .responses = Responses::kChosenOnly}), 8);
  EXPECT_EQ(num_stream_tokens(kLengths, {.prefix_sharing = false, .responses = Responses::kChosenOnly}), 8);
}

TEST(PairTest, hash_equals_python_xxhash_of_the_counts_and_tokens) {
  // xxhash.xxh3_128_hexdigest(struct.pack("<9I", 2, 1, 3, 10, 11, 12, 13, 14, 4294967295))
  const std::vector<std::uint32_t> tokens{10, 11, 12, 13, 14, 4294967295};
  EXPECT_EQ(hash_pair({2, 1, 3}, tokens).hex(), "a27a20f98674acecf806abceb3dc217f");
}

TEST(PairTest, hash_tells_where_the_prompt_ends) {
  const std::vector<std::uint32_t> tokens{1, 2, 3, 4};
  EXPECT_NE(hash_pair({1, 2, 1}, tokens), hash_pair({2, 1, 1}, tokens));
}

TEST(PairTest, hash_refuses_lengths_that_do_not_fit) {
  const std::vector<std::uint32_t> tokens{1, 2, 3};
  EXPECT_THROW(hash_pair({1, 1, 2}, tokens), InvariantError);
}

}  // namespace
}  // namespace collimate
