#include "collimate/store/load_plan.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Needed = std::vector<std::vector<ShardRange>>;

constexpr std::int64_t kBlock = 64;  // bytes; small, since whole rounds are carried out

std::vector<std::int64_t> blocks_of_one_size(std::int64_t number) {
  return std::vector<std::int64_t>(static_cast<std::size_t>(number), kBlock);
}

std::set<std::int64_t> blocks_of(const std::vector<ShardRange>& ranges) {
  std::set<std::int64_t> blocks;
  for (const ShardRange& range : ranges) {
    for (std::int64_t i = 0; i < range.length; ++i) blocks.insert(range.begin + i);
  }
  return blocks;
}

// Each rank wants some ranges of blocks of files of any size.
struct RandomCase {
  explicit RandomCase(unsigned seed) {
    std::mt19937_64 random(seed);
    const auto number = static_cast<std::int64_t>(20 + random() % 200);
    block_bytes = blocks_of_one_size(number);
    for (std::int64_t& bytes : block_bytes) {
      if (random() % 10 == 0) bytes = static_cast<std::int64_t>(1 + random() % kBlock);
    }
    needed.resize(1 + random() % 9);
    for (auto& ranges : needed) {
      for (auto at = static_cast<std::int64_t>(random() % 60); at < number;) {
        const auto length = std::min<std::int64_t>(number - at, static_cast<std::int64_t>(1 + random() % 30));
        ranges.push_back({.begin = at, .length = length});
        at += length + static_cast<std::int64_t>(1 + random() % 40);
      }
    }
  }

  Needed needed;
  std::vector<std::int64_t> block_bytes;
};

// Carries out all ranks' rounds: what every rank holds at the end of each.
void expect_everyone_gets_what_they_need(const RandomCase& given, const LoadPlan& plan) {
  std::vector<std::vector<LoadRound>> rounds;  // [ranks][rounds]
  const int num_ranks = static_cast<int>(given.needed.size());
  for (int rank = 0; rank < num_ranks; ++rank) rounds.push_back(rounds_of(plan, rank, given.block_bytes));
  std::vector<std::set<std::int64_t>> held(given.needed.size());
  std::multiset<std::int64_t> read;
  for (std::size_t round = 0; round < static_cast<std::size_t>(plan.num_rounds); ++round) {
    std::vector<std::vector<std::int64_t>> buffers;  // [ranks][bytes]: the number of the block that a byte is of
    for (const auto& own : rounds) {
      buffers.emplace_back(static_cast<std::size_t>(own[round].buffer_bytes), -1);
      for (const HeldBlock& block : own[round].held) {
        if (!block.is_read) continue;
        read.insert(block.block);
        std::fill_n(buffers.back().begin() + block.begin, given.block_bytes[static_cast<std::size_t>(block.block)],
                    block.block);
      }
    }
    for (int rank = 0; rank < num_ranks; ++rank) {
      std::map<std::pair<int, int>, std::size_t> num_sent;
      for (const LoadMessage& own : rounds[static_cast<std::size_t>(rank)][round].messages) {
        EXPECT_TRUE((own.reader == rank) != (own.receiver == rank));
        if (own.receiver != rank) continue;
        // The message of that number between the two, as its reader has it.
        std::size_t number = num_sent[{own.reader, own.receiver}]++;
        const auto& theirs = rounds[static_cast<std::size_t>(own.reader)][round].messages;
        const auto sent = std::ranges::find_if(theirs, [&](const LoadMessage& message) {
          return message.reader == own.reader && message.receiver == rank && number-- == 0;
        });
        ASSERT_NE(sent, theirs.end());
        ASSERT_EQ(sent->bytes.length, own.bytes.length);
        std::copy_n(buffers[static_cast<std::size_t>(own.reader)].begin() + sent->bytes.begin, own.bytes.length,
                    buffers[static_cast<std::size_t>(rank)].begin() + own.bytes.begin);
      }
    }
    for (std::size_t rank = 0; rank < rounds.size(); ++rank) {
      for (const HeldBlock& block : rounds[rank][round].held) {
        const std::int64_t bytes = given.block_bytes[static_cast<std::size_t>(block.block)];
        for (std::int64_t i = 0; i < bytes; ++i) {
          ASSERT_EQ(buffers[rank][static_cast<std::size_t>(block.begin + i)], block.block);
        }
        EXPECT_TRUE(held[rank].insert(block.block).second) << "a block comes once";
      }
    }
  }
  std::set<std::int64_t> all;
  for (std::size_t rank = 0; rank < held.size(); ++rank) {
    EXPECT_EQ(held[rank], blocks_of(given.needed[rank]));
    all.insert(held[rank].begin(), held[rank].end());
  }
  EXPECT_EQ(read, std::multiset(all.begin(), all.end())) << "each block that is needed is read once";
}

TEST(LoadPlanTest, each_needed_block_is_read_once_by_one_that_needs_it_and_comes_to_all_that_do) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const RandomCase given(seed);
    const LoadPlan plan = plan_loading(given.needed, given.block_bytes, 5 * kBlock);
    for (const PlannedBlock& block : plan.blocks) EXPECT_TRUE(plan.needs(block, block.reader));
    expect_everyone_gets_what_they_need(given, plan);
  }
}

TEST(LoadPlanTest, no_rank_holds_more_than_a_round_may_have) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const RandomCase given(seed);
    for (const std::int64_t most : {std::int64_t{1}, kBlock, 7 * kBlock / 2}) {
      const LoadPlan plan = plan_loading(given.needed, given.block_bytes, most);
      for (int rank = 0; rank < static_cast<int>(given.needed.size()); ++rank) {
        for (const LoadRound& round : rounds_of(plan, rank, given.block_bytes)) {
          EXPECT_TRUE(round.buffer_bytes <= most || round.held.size() == 1);
        }
      }
    }
  }
}

TEST(LoadPlanTest, messages_of_a_round_have_one_order_on_all_ranks) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const RandomCase given(seed);
    const LoadPlan plan = plan_loading(given.needed, given.block_bytes, 5 * kBlock);
    for (int rank = 0; rank < static_cast<int>(given.needed.size()); ++rank) {
      for (const LoadRound& round : rounds_of(plan, rank, given.block_bytes)) {
        const auto pair = [](const LoadMessage& message) { return std::pair(message.reader, message.receiver); };
        EXPECT_TRUE(std::ranges::is_sorted(round.messages, {}, pair));
      }
    }
  }
}

TEST(LoadPlanTest, what_all_need_is_shared_evenly_in_every_round) {
  const Needed needed(4, {{.begin = 0, .length = 100}});
  const auto block_bytes = blocks_of_one_size(100);
  const LoadPlan plan = plan_loading(needed, block_bytes, 16 * kBlock);
  EXPECT_EQ(plan.num_rounds, 7);
  std::map<std::pair<int, int>, int> num_read;  // by round and reader
  for (const PlannedBlock& block : plan.blocks) ++num_read[{block.round, block.reader}];
  EXPECT_EQ(num_read.size(), 28U);
  for (const auto& [place, number] : num_read) EXPECT_EQ(number, place.first == 6 ? 1 : 4);
}

// Who has more than others of its own reads less of what they share.
TEST(LoadPlanTest, readers_are_balanced_by_bytes) {
  const Needed needed{{{.begin = 0, .length = 70}}, {{.begin = 40, .length = 30}, {.begin = 80, .length = 10}}};
  const LoadPlan plan = plan_loading(needed, blocks_of_one_size(100));
  std::map<int, int> num_read;
  for (const PlannedBlock& block : plan.blocks) ++num_read[block.reader];
  EXPECT_EQ(num_read[0], 40);
  EXPECT_EQ(num_read[1], 40);
}

// As where a checkpoint is read at the layout it was saved at, but for a block that neighbours share.
TEST(LoadPlanTest, ranks_with_blocks_of_their_own_go_through_them_side_by_side) {
  Needed needed;
  for (std::int64_t rank = 0; rank < 8; ++rank) needed.push_back({{.begin = rank * 100, .length = 101}});
  const LoadPlan plan = plan_loading(needed, blocks_of_one_size(801), 10 * kBlock);
  EXPECT_LE(plan.num_rounds, 12);
}

TEST(LoadPlanTest, blocks_side_by_side_are_one_message) {
  const Needed needed{{{.begin = 0, .length = 6}}, {{.begin = 0, .length = 2}, {.begin = 4, .length = 8}}};
  std::vector<std::int64_t> block_bytes = blocks_of_one_size(12);
  block_bytes[5] = 13;
  const LoadPlan plan = plan_loading(needed, block_bytes);
  ASSERT_EQ(plan.num_rounds, 1);
  const LoadRound first = rounds_of(plan, 0, block_bytes).front();
  const LoadRound second = rounds_of(plan, 1, block_bytes).front();
  // The first one reads 2 and 3, which only it needs, and 0, 1, 4 and 5, since the other has 6 to 11.
  EXPECT_THAT(first.messages,
              ElementsAre(LoadMessage{0, 1, {0, 2 * kBlock}}, LoadMessage{0, 1, {4 * kBlock, kBlock + 13}}));
  EXPECT_THAT(second.messages,
              ElementsAre(LoadMessage{0, 1, {0, 2 * kBlock}}, LoadMessage{0, 1, {2 * kBlock, kBlock + 13}}));
}

TEST(LoadPlanTest, nothing_needed_is_nothing_done) {
  const LoadPlan plan = plan_loading(Needed(3), blocks_of_one_size(5));
  EXPECT_EQ(plan.num_rounds, 0);
  EXPECT_THAT(rounds_of(plan, 1, blocks_of_one_size(5)), IsEmpty());
}

TEST(LoadPlanTest, a_rank_that_needs_nothing_has_empty_rounds) {
  const auto block_bytes = blocks_of_one_size(10);
  const LoadPlan plan = plan_loading(Needed{{{.begin = 0, .length = 10}}, {}}, block_bytes, 3 * kBlock);
  const std::vector<LoadRound> rounds = rounds_of(plan, 1, block_bytes);
  ASSERT_EQ(rounds.size(), 4U);
  for (const LoadRound& round : rounds) EXPECT_EQ(round.buffer_bytes, 0);
}

}  // namespace
}  // namespace collimate
