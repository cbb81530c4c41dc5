#include "collimate/store/load_plan.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

namespace collimate {

namespace {

std::size_t index_of(std::int64_t number) { return static_cast<std::size_t>(number); }

// Blocks that the same ranks need.
struct Stretch {
  ShardRange blocks;
  std::vector<int> needers;
};

// Where ranges of any rank begin or end, something changes; between two such places nothing does.
std::vector<Stretch> stretches_of(std::span<const std::vector<ShardRange>> needed) {
  std::vector<std::tuple<std::int64_t, int, bool>> changes;  // block, rank, begins
  for (int rank = 0; rank < static_cast<int>(needed.size()); ++rank) {
    for (const ShardRange& range : needed[index_of(rank)]) {
      if (range.length == 0) continue;
      changes.emplace_back(range.begin, rank, true);
      changes.emplace_back(range.begin + range.length, rank, false);
    }
  }
  std::ranges::sort(changes);
  std::vector<Stretch> stretches;
  std::set<int> needers;
  std::int64_t begin = 0;
  for (const auto& [block, rank, begins] : changes) {
    if (block > begin && !needers.empty()) {
      stretches.push_back({.blocks = {.begin = begin, .length = block - begin},
                           .needers = std::vector(needers.begin(), needers.end())});
    }
    begin = block;
    if (begins) {
      needers.insert(rank);
    } else {
      needers.erase(rank);
    }
  }
  return stretches;
}

// Who has least to read so far reads next, beginning with the blocks for which there is least choice.
std::vector<PlannedBlock> assign_readers(const std::vector<Stretch>& stretches, std::size_t num_ranks,
                                         std::span<const std::int64_t> block_bytes) {
  std::vector<std::size_t> order(stretches.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return stretches[i].needers.size(); });
  std::vector<std::int64_t> load(num_ranks, 0);
  std::vector<PlannedBlock> planned;
  for (const std::size_t i : order) {
    const auto& [blocks, needers] = stretches[i];
    for (std::int64_t block = blocks.begin; block < blocks.begin + blocks.length; ++block) {
      const int reader = *std::ranges::min_element(needers, {}, [&](int rank) { return load[index_of(rank)]; });
      load[index_of(reader)] += block_bytes[index_of(block)];
      planned.push_back({.block = block, .round = 0, .reader = reader, .needers = i});
    }
  }
  return planned;
}

// How much of each round each rank has to hold so far.
class RoundFilling {
 public:
  RoundFilling(std::size_t num_ranks, std::int64_t most_bytes)
      : most_bytes_(most_bytes), held_(num_ranks), first_open_(num_ranks, 0) {}

  // The first round in which all of them have room.
  int add(const std::vector<int>& ranks, std::int64_t bytes) {
    std::size_t round = 0;
    for (const int rank : ranks) round = std::max(round, first_open_[index_of(rank)]);
    while (!std::ranges::all_of(ranks, [&](int rank) { return has_room(rank, round, bytes); })) ++round;
    for (const int rank : ranks) fill(rank, round, bytes);
    return static_cast<int>(round);
  }

 private:
  [[nodiscard]] bool has_room(int rank, std::size_t round, std::int64_t bytes) const {
    const std::vector<std::int64_t>& held = held_[index_of(rank)];
    return round >= held.size() || held[round] == 0 || held[round] + bytes <= most_bytes_;
  }
  void fill(int rank, std::size_t round, std::int64_t bytes) {
    std::vector<std::int64_t>& held = held_[index_of(rank)];
    if (round >= held.size()) held.resize(round + 1, 0);
    held[round] += bytes;
    // All blocks but the last ones of files have one size: where this one had no room, the next one has none.
    std::size_t& open = first_open_[index_of(rank)];
    while (!has_room(rank, open, bytes)) ++open;
  }

  std::int64_t most_bytes_;
  std::vector<std::vector<std::int64_t>> held_;  // [ranks][rounds]
  std::vector<std::size_t> first_open_;          // [ranks]
};

// Consecutive blocks of one reader in one round.
std::span<const PlannedBlock> front_group(std::span<const PlannedBlock> blocks) {
  const auto same = [&](const PlannedBlock& block) {
    return block.round == blocks.front().round && block.reader == blocks.front().reader;
  };
  return blocks.first(static_cast<std::size_t>(std::ranges::find_if_not(blocks, same) - blocks.begin()));
}

std::vector<int> receivers_of(const LoadPlan& plan, std::span<const PlannedBlock> group, int rank) {
  const int reader = group.front().reader;
  if (reader != rank) return {rank};
  std::set<int> receivers;
  for (const PlannedBlock& block : group) {
    receivers.insert(plan.needers[block.needers].begin(), plan.needers[block.needers].end());
  }
  receivers.erase(reader);
  return {receivers.begin(), receivers.end()};
}

// Appends what `rank` holds and sends or receives of the blocks that one rank reads in a round.
void add_group(const LoadPlan& plan, std::span<const PlannedBlock> group, int rank,
               std::span<const std::int64_t> block_bytes, LoadRound& round) {
  const int reader = group.front().reader;
  std::vector<ShardRange> places;  // [group] in the buffer
  for (const PlannedBlock& block : group) {
    const bool is_held = plan.needs(block, rank);
    places.push_back({.begin = round.buffer_bytes, .length = is_held ? block_bytes[index_of(block.block)] : 0});
    if (is_held) round.held.push_back({block.block, round.buffer_bytes, reader == rank});
    round.buffer_bytes += places.back().length;
  }
  for (const int receiver : receivers_of(plan, group, rank)) {
    bool is_open = false;
    for (std::size_t i = 0; i < group.size(); ++i) {
      const bool is_sent = plan.needs(group[i], receiver);
      if (is_sent && is_open) {
        round.messages.back().bytes.length += places[i].length;
      } else if (is_sent) {
        round.messages.push_back({.reader = reader, .receiver = receiver, .bytes = places[i]});
      }
      is_open = is_sent;
    }
  }
}

}  // namespace

bool LoadPlan::needs(const PlannedBlock& block, int rank) const {
  return std::ranges::binary_search(needers[block.needers], rank);
}

LoadPlan plan_loading(std::span<const std::vector<ShardRange>> needed, std::span<const std::int64_t> block_bytes,
                      std::int64_t most_round_bytes) {
  std::vector<Stretch> stretches = stretches_of(needed);
  LoadPlan plan{.num_rounds = 0, .blocks = assign_readers(stretches, needed.size(), block_bytes), .needers = {}};
  for (Stretch& stretch : stretches) plan.needers.push_back(std::move(stretch.needers));
  std::ranges::sort(plan.blocks, {}, &PlannedBlock::block);  // files are read forwards
  RoundFilling filling(needed.size(), most_round_bytes);
  for (PlannedBlock& block : plan.blocks) {
    block.round = filling.add(plan.needers[block.needers], block_bytes[index_of(block.block)]);
    plan.num_rounds = std::max(plan.num_rounds, block.round + 1);
  }
  std::ranges::sort(plan.blocks, {},
                    [](const PlannedBlock& block) { return std::tuple(block.round, block.reader, block.block); });
  return plan;
}

std::vector<LoadRound> rounds_of(const LoadPlan& plan, int rank, std::span<const std::int64_t> block_bytes) {
  std::vector<LoadRound> rounds(index_of(plan.num_rounds));
  for (std::span<const PlannedBlock> rest(plan.blocks); !rest.empty();) {
    const std::span<const PlannedBlock> group = front_group(rest);
    add_group(plan, group, rank, block_bytes, rounds[index_of(group.front().round)]);
    rest = rest.subspan(group.size());
  }
  return rounds;
}

}  // namespace collimate
