#include "collimate/data/microbatch.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;

PairTokens make_pair(std::uint64_t pair_index, PairLengths lengths, std::uint32_t first_token) {
  PairTokens pair{.pair_index = pair_index, .lengths = lengths, .tokens = {}};
  for (std::int64_t i = 0; i < lengths.num_tokens(); ++i) {
    pair.tokens.push_back(first_token + static_cast<std::uint32_t>(i));
  }
  return pair;
}

std::vector<PairTokens> random_pairs(std::uint64_t seed, std::uint64_t count) {
  const RandomStream stream(seed, "microbatch_test");
  std::vector<PairTokens> pairs;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto length = [&](std::uint64_t part) {
      return static_cast<std::int64_t>(1 + stream.below(3 * i + part, 9));
    };
    pairs.push_back(make_pair(50 + i, {length(0), length(1), length(2)}, static_cast<std::uint32_t>(1000 * i)));
  }
  return pairs;
}

/// Labels for a pair, in order of its response tokens; its lengths count them.
PairTokens with_labels(PairTokens pair, const std::vector<std::uint8_t>& of_chosen,
                       const std::vector<std::uint8_t>& of_rejected) {
  pair.is_labelled.assign(static_cast<std::size_t>(pair.lengths.num_prompt_tokens), 0);
  pair.is_labelled.insert(pair.is_labelled.end(), of_chosen.begin(), of_chosen.end());
  pair.is_labelled.insert(pair.is_labelled.end(), of_rejected.begin(), of_rejected.end());
  pair.lengths.num_labelled_chosen_tokens = std::ranges::count(of_chosen, 1);
  pair.lengths.num_labelled_rejected_tokens = std::ranges::count(of_rejected, 1);
  return pair;
}

/// Random pairs, of every second one of which each token is labelled by chance, the last of a response always.
std::vector<PairTokens> random_labelled_pairs(std::uint64_t seed, std::uint64_t count) {
  std::vector<PairTokens> pairs = random_pairs(seed, count);
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    const RandomStream stream(seed, "labels", i);
    std::uint64_t num_drawn = 0;
    const auto labels = [&](std::int64_t length) {
      std::vector<std::uint8_t> own(static_cast<std::size_t>(length));
      for (std::uint8_t& label : own) label = static_cast<std::uint8_t>(stream.below(num_drawn++, 2));
      own.back() = 1;
      return own;
    };
    const PairLengths& lengths = pairs[i].lengths;
    pairs[i] = with_labels(pairs[i], labels(lengths.num_chosen_tokens), labels(lengths.num_rejected_tokens));
  }
  return pairs;
}

/// The tokens that `row` sees, in order of position: the prefix, then its own segment up to itself.
std::vector<std::int64_t> visible_tokens(const MicroBatch& batch, std::int64_t row) {
  std::vector<std::int64_t> tokens;
  for (const Segment& segment : batch.segments) {
    if (row < segment.begin || row >= segment.begin + segment.length) continue;
    for (std::int64_t i = 0; i < segment.prefix_length; ++i) {
      tokens.push_back(batch.tokens.at(static_cast<std::size_t>(segment.prefix_begin + i)));
    }
    for (std::int64_t i = segment.begin; i <= row; ++i) tokens.push_back(batch.tokens.at(static_cast<std::size_t>(i)));
  }
  return tokens;
}

class MicroBatchPropertyTest : public ::testing::TestWithParam<PairLayout> {};

TEST(MicroBatchTest, shares_the_prompt_of_a_pair) {
  const std::vector pairs{make_pair(7, {2, 3, 2}, 10)};
  const MicroBatch batch = build_microbatch(pairs, {.prefix_sharing = true, .responses = Responses::kBoth});
  EXPECT_THAT(batch.tokens, ElementsAre(10, 11, 12, 13, 14, 15, 16));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, 3, 4, 2, 3));
  EXPECT_THAT(batch.segments, ElementsAre(Segment{.begin = 0, .length = 5},
                                          Segment{.begin = 5, .length = 2, .prefix_begin = 0, .prefix_length = 2}));
  EXPECT_THAT(batch.rows, ElementsAre(LabelledRow{1, 12, 0}, LabelledRow{2, 13, 0}, LabelledRow{3, 14, 0},
                                      LabelledRow{1, 15, 1}, LabelledRow{5, 16, 1}));
  EXPECT_THAT(batch.pair_indices, ElementsAre(7));
  EXPECT_EQ(batch.num_responses, 2);
}

TEST(MicroBatchTest, repeats_the_prompt_without_sharing) {
  const std::vector pairs{make_pair(7, {2, 1, 2}, 10)};
  const MicroBatch batch = build_microbatch(pairs, {.prefix_sharing = false, .responses = Responses::kBoth});
  EXPECT_THAT(batch.tokens, ElementsAre(10, 11, 12, 10, 11, 13, 14));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, 0, 1, 2, 3));
  EXPECT_THAT(batch.segments, ElementsAre(Segment{.begin = 0, .length = 3}, Segment{.begin = 3, .length = 4}));
  EXPECT_THAT(batch.rows, ElementsAre(LabelledRow{1, 12, 0}, LabelledRow{4, 13, 1}, LabelledRow{5, 14, 1}));
}

TEST(MicroBatchTest, predicts_labelled_tokens_alone) {
  // Of chosen, 12 13 14, the last is labelled; of rejected, 15 16, the first.
  const std::vector pairs{with_labels(make_pair(7, {2, 3, 2}, 10), {0, 0, 1}, {1, 0}),
                          with_labels(make_pair(8, {1, 2, 2}, 20), {1, 0}, {0, 1})};
  const MicroBatch shared = build_microbatch(pairs, {.prefix_sharing = true, .responses = Responses::kBoth});
  EXPECT_THAT(shared.tokens, ElementsAre(10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24));
  EXPECT_THAT(shared.rows,
              ElementsAre(LabelledRow{3, 14, 0}, LabelledRow{1, 15, 1}, LabelledRow{7, 21, 2}, LabelledRow{10, 24, 3}));
  const MicroBatch apart = build_microbatch(pairs, {.prefix_sharing = false, .responses = Responses::kBoth});
  EXPECT_THAT(apart.tokens, ElementsAre(10, 11, 12, 13, 14, 10, 11, 15, 16, 20, 21, 22, 20, 23, 24));
  EXPECT_THAT(apart.rows,
              ElementsAre(LabelledRow{3, 14, 0}, LabelledRow{6, 15, 1}, LabelledRow{9, 21, 2}, LabelledRow{13, 24, 3}));
  const MicroBatch chosen = build_microbatch(pairs, {.prefix_sharing = true, .responses = Responses::kChosenOnly});
  EXPECT_THAT(chosen.tokens, ElementsAre(10, 11, 12, 13, 14, 20, 21, 22));
  EXPECT_THAT(chosen.rows, ElementsAre(LabelledRow{3, 14, 0}, LabelledRow{5, 21, 1}));
}

TEST(MicroBatchTest, labels_of_all_tokens_are_as_none) {
  const PairTokens plain = make_pair(7, {2, 3, 2}, 10);
  const PairTokens labelled = with_labels(plain, {1, 1, 1}, {1, 1});
  EXPECT_EQ(labelled.lengths, plain.lengths);
  EXPECT_EQ(build_microbatch(std::vector{labelled}, {}).rows, build_microbatch(std::vector{plain}, {}).rows);
}

TEST(MicroBatchTest, refuses_labels_that_do_not_fit_the_lengths) {
  const PairTokens good = with_labels(make_pair(0, {1, 2, 2}, 10), {1, 0}, {1, 1});
  EXPECT_NO_THROW(build_microbatch(std::vector{good}, {}));
  const auto expect_refused = [&](const std::function<void(PairTokens&)>& spoil) {
    PairTokens bad = good;
    spoil(bad);
    EXPECT_THROW(build_microbatch(std::vector{bad}, {}), InvariantError);
  };
  expect_refused([](PairTokens& pair) { pair.is_labelled.pop_back(); });
  expect_refused([](PairTokens& pair) { pair.is_labelled.clear(); });  // then all are labelled
  expect_refused([](PairTokens& pair) { pair.lengths.num_labelled_chosen_tokens = 2; });
  expect_refused([](PairTokens& pair) { pair.lengths.num_labelled_rejected_tokens = 1; });
  expect_refused([](PairTokens& pair) { pair = with_labels(pair, {0, 0}, {1, 1}); });
}

TEST(MicroBatchTest, leaves_rejected_responses_out_when_no_loss_needs_them) {
  const std::vector pairs{make_pair(7, {1, 2, 9}, 10), make_pair(3, {2, 1, 9}, 30)};
  const MicroBatch batch = build_microbatch(pairs, {.prefix_sharing = true, .responses = Responses::kChosenOnly});
  EXPECT_THAT(batch.tokens, ElementsAre(10, 11, 12, 30, 31, 32));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(batch.segments, ElementsAre(Segment{.begin = 0, .length = 3}, Segment{.begin = 3, .length = 3}));
  EXPECT_THAT(batch.rows, ElementsAre(LabelledRow{0, 11, 0}, LabelledRow{1, 12, 0}, LabelledRow{4, 32, 1}));
  EXPECT_THAT(batch.pair_indices, ElementsAre(7, 3));
  EXPECT_EQ(batch.num_responses, 2);
}

TEST(MicroBatchTest, is_empty_without_pairs) {
  const MicroBatch batch = build_microbatch({}, {});
  EXPECT_EQ(batch.num_stream_tokens(), 0);
  EXPECT_EQ(batch.num_pairs(), 0);
  EXPECT_EQ(batch.num_responses, 0);
  EXPECT_EQ(count_microbatch(batch), MicroBatchCounts{});
}

TEST(MicroBatchTest, refuses_a_pair_with_an_empty_part) {
  for (const PairLengths lengths : {PairLengths{0, 1, 1}, PairLengths{1, 0, 1}, PairLengths{1, 1, 0}}) {
    const std::vector pairs{make_pair(0, lengths, 10)};
    EXPECT_THROW(build_microbatch(pairs, {}), InvariantError);
  }
}

TEST(MicroBatchTest, refuses_tokens_that_do_not_fit_the_lengths) {
  std::vector pairs{make_pair(0, {1, 1, 1}, 10)};
  pairs[0].tokens.push_back(4);
  EXPECT_THROW(build_microbatch(pairs, {}), InvariantError);
}

TEST(MicroBatchTest, counts_what_decides_its_flops) {
  const std::vector pairs{make_pair(0, {2, 3, 2}, 10), make_pair(1, {1, 1, 1}, 30)};
  const MicroBatch batch = build_microbatch(pairs, {.prefix_sharing = true, .responses = Responses::kBoth});
  MicroBatchCounts counts = count_microbatch(batch, 2);
  // Full attention: 5 * 6 / 2, (2 + 1) + (2 + 2), 2 * 3 / 2, 1 + 1; at most two keys a row: 9, 4, 3, 2.
  EXPECT_EQ(counts, (MicroBatchCounts{10, 7, 15 + 7 + 3 + 2, 9 + 4 + 3 + 2}));
  EXPECT_EQ(count_microbatch(batch).num_windowed_keys, 27);
  counts += counts;
  EXPECT_EQ(counts, (MicroBatchCounts{20, 14, 54, 36}));
}

TEST_P(MicroBatchPropertyTest, every_labelled_token_is_predicted_once_from_what_precedes_it) {
  const std::vector<PairTokens> pairs = random_labelled_pairs(3, 25);
  const MicroBatch batch = build_microbatch(pairs, GetParam());
  const auto per_pair = num_responses_per_pair(GetParam());
  std::size_t num_rows = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const PairLengths& lengths = pairs[i].lengths;
    for (std::int64_t response = 0; response < per_pair; ++response) {
      const auto prompt_end = pairs[i].tokens.begin() + lengths.num_prompt_tokens;
      std::vector<std::int64_t> sequence(pairs[i].tokens.begin(), prompt_end);
      const std::int64_t begin = lengths.num_prompt_tokens + (response == 0 ? 0 : lengths.num_chosen_tokens);
      const std::int64_t length = response == 0 ? lengths.num_chosen_tokens : lengths.num_rejected_tokens;
      for (std::int64_t t = begin; t < begin + length; ++t) {
        const auto place = static_cast<std::size_t>(t);
        if (pairs[i].is_labelled.empty() || pairs[i].is_labelled[place] == 1) {
          const LabelledRow& row = batch.rows.at(num_rows++);
          EXPECT_EQ(row.response_index, per_pair * static_cast<std::int64_t>(i) + response);
          EXPECT_EQ(row.label, pairs[i].tokens[place]);
          EXPECT_EQ(visible_tokens(batch, row.row), sequence);
          EXPECT_EQ(batch.positions.at(static_cast<std::size_t>(row.row)), std::ssize(sequence) - 1);
        }
        sequence.push_back(pairs[i].tokens[place]);
      }
    }
  }
  EXPECT_EQ(batch.rows.size(), num_rows);
}

TEST_P(MicroBatchPropertyTest, segments_cover_the_stream_in_order) {
  const std::vector<PairTokens> pairs = random_pairs(4, 25);
  const MicroBatch batch = build_microbatch(pairs, GetParam());
  std::int64_t next = 0;
  for (const Segment& segment : batch.segments) {
    EXPECT_EQ(segment.begin, next);
    EXPECT_LE(segment.prefix_begin + segment.prefix_length, segment.begin);
    next += segment.length;
  }
  EXPECT_EQ(next, batch.num_stream_tokens());
  EXPECT_EQ(batch.positions.size(), batch.tokens.size());
}

TEST_P(MicroBatchPropertyTest, sizes_agree_with_the_planned_ones) {
  const std::vector<PairTokens> pairs = random_labelled_pairs(5, 25);
  const MicroBatch batch = build_microbatch(pairs, GetParam());
  std::int64_t num_tokens = 0;
  std::int64_t num_labelled = 0;
  for (const PairTokens& pair : pairs) {
    num_tokens += num_stream_tokens(pair.lengths, GetParam());
    num_labelled += num_labelled_tokens(pair.lengths, GetParam());
  }
  EXPECT_EQ(batch.num_stream_tokens(), num_tokens);
  EXPECT_EQ(std::ssize(batch.rows), num_labelled);
  EXPECT_LT(num_labelled, num_tokens / 2) << "most tokens of every second pair are context";
  EXPECT_EQ(batch.num_responses, std::ssize(pairs) * num_responses_per_pair(GetParam()));
  EXPECT_EQ(batch.num_pairs(), std::ssize(pairs));
}

INSTANTIATE_TEST_SUITE_P(Layouts, MicroBatchPropertyTest,
                         ::testing::Values(PairLayout{true, Responses::kBoth}, PairLayout{false, Responses::kBoth},
                                           PairLayout{true, Responses::kChosenOnly}));

}  // namespace
}  // namespace collimate
