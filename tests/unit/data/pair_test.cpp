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

TEST(PairTest, all_response_tokens_are_labelled_unless_lengths_say_otherwise) {
  EXPECT_EQ(num_labelled_tokens(kLengths, {.responses = Responses::kBoth}), 7);
  EXPECT_EQ(num_labelled_tokens(kLengths, {.responses = Responses::kChosenOnly}), 5);
  const PairLengths some{3, 5, 2, 4, 1};
  EXPECT_EQ(num_labelled_tokens(some, {.prefix_sharing = false, .responses = Responses::kBoth}), 5);
  EXPECT_EQ(num_labelled_tokens(some, {.responses = Responses::kChosenOnly}), 4);
  EXPECT_EQ(num_stream_tokens(some, {}), num_stream_tokens(kLengths, {}));
  EXPECT_NE(some, kLengths);
}

TEST(PairTest, hash_equals_python_xxhash_of_the_counts_and_tokens) {
  // xxhash.xxh3_128_hexdigest(struct.pack("<9I", 2, 1, 3, 10, 11, 12, 13, 14, 4294967295))
  const std::vector<std::uint32_t> tokens{10, 11, 12, 13, 14, 4294967295};
  EXPECT_EQ(hash_pair({2, 1, 3}, tokens).hex(), "a27a20f98674acecf806abceb3dc217f");
}

TEST(PairTest, hash_has_the_labels_where_some_token_is_not_labelled) {
  const std::vector<std::uint32_t> tokens{10, 11, 12, 13, 14, 4294967295};
  const auto hash = [&](const std::vector<std::uint8_t>& labels) { return hash_pair({2, 1, 3}, tokens, labels).hex(); };
  EXPECT_EQ(hash({0, 0, 1, 1, 1, 1}), hash({}));
  // xxhash.xxh3_128_hexdigest(struct.pack("<13I", 2, 1, 3, 10, 11, 12, 13, 14, 4294967295, 1, 0, 1, 1))
  EXPECT_EQ(hash({0, 0, 1, 0, 1, 1}), "0747dc3f4f0781d38e266335f9e6f7ee");
  EXPECT_NE(hash({0, 0, 1, 0, 1, 1}), hash({0, 0, 1, 1, 0, 1}));
}

TEST(PairTest, hash_tells_where_the_prompt_ends) {
  const std::vector<std::uint32_t> tokens{1, 2, 3, 4};
  EXPECT_NE(hash_pair({1, 2, 1}, tokens), hash_pair({2, 1, 1}, tokens));
}

TEST(PairTest, hash_refuses_lengths_that_do_not_fit) {
  const std::vector<std::uint32_t> tokens{1, 2, 3};
  EXPECT_THROW(hash_pair({1, 1, 2}, tokens), InvariantError);
  EXPECT_THROW(hash_pair({1, 1, 1}, tokens, std::vector<std::uint8_t>{1, 1}), InvariantError);
}

}  // namespace
}  // namespace collimate
