#pragma once
// Which rank reads which block of a checkpoint, and who gets it from there: over a job each block that anyone needs is
// read once. In rounds, so that a rank never holds more than a few megabytes besides what it loads. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collimate/base/shard_range.hpp"

namespace collimate {

/// Most bytes of blocks that a rank holds in a round, unless a single block has more.
inline constexpr std::int64_t kMostRoundBytes = std::int64_t{32} * 1024 * 1024;

/// A block that is read.
struct PlannedBlock {
  std::int64_t block = 0;
  int round = 0;
  int reader = 0;           ///< one of those that need it
  std::size_t needers = 0;  ///< index of LoadPlan::needers
  bool operator==(const PlannedBlock&) const = default;
};

/// The same on every rank.
struct LoadPlan {
  int num_rounds = 0;
  std::vector<PlannedBlock> blocks;       ///< each once; by round, reader and number
  std::vector<std::vector<int>> needers;  ///< ranks, ascending

  [[nodiscard]] bool needs(const PlannedBlock& block, int rank) const;
};

/// `needed` [ranks]: blocks by number, ascending, in ranges that neither touch nor overlap. `block_bytes` [blocks]:
/// their sizes. Readers are balanced by bytes as far as needs allow. In a round no rank needs more than
/// `most_round_bytes`, or else one block alone; ranks that share no block go through theirs side by side.
LoadPlan plan_loading(std::span<const std::vector<ShardRange>> needed, std::span<const std::int64_t> block_bytes,
                      std::int64_t most_round_bytes = kMostRoundBytes);

/// A block in a rank's buffer of one round.
struct HeldBlock {
  std::int64_t block = 0;
  std::int64_t begin = 0;  ///< byte of the buffer
  bool is_read = false;    ///< by this rank; else it is received
  bool operator==(const HeldBlock&) const = default;
};

/// Bytes that `reader` has read and `receiver` needs, one of which is the rank itself.
struct LoadMessage {
  int reader = 0;
  int receiver = 0;
  ShardRange bytes;  ///< of the rank's own buffer
  bool operator==(const LoadMessage&) const = default;
};

/// One rank's part of a round.
struct LoadRound {
  std::int64_t buffer_bytes = 0;
  std::vector<HeldBlock> held;  ///< by reader and number, one behind the other
  /// By reader and receiver: of all messages of a round each rank takes its own in the order of all, so that backends
  /// that connect two ranks at their first message do not wait in a circle. Blocks that lie side by side on both sides
  /// are one message.
  std::vector<LoadMessage> messages;
};

/// What `rank` does in each round of the plan; of some perhaps nothing. `block_bytes` as above.
std::vector<LoadRound> rounds_of(const LoadPlan& plan, int rank, std::span<const std::int64_t> block_bytes);

}  // namespace collimate
