#pragma once
// Attention as data: segments and a window lowered to dense blocks of the (query, key) plane, each one kernel call.
// Pure.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "collimate/data/segment.hpp"

namespace collimate {

enum class BlockMask {
  kFull,    ///< Every row sees every key.
  kCausal,  ///< Square; row a sees keys 0..a.
  kBand,    ///< Row a sees keys b with a + diagonal - window < b <= a + diagonal.
};

/// Rows [q_begin, q_begin + q_length) against keys [k_begin, k_begin + k_length) of the stream. Every row sees at least
/// one key.
struct AttentionBlock {
  std::int64_t q_begin = 0;
  std::int64_t q_length = 0;
  std::int64_t k_begin = 0;
  std::int64_t k_length = 0;
  BlockMask mask = BlockMask::kFull;
  std::int64_t diagonal = 0;  ///< kBand: the key index that has row 0's own position; may lie past the last key.
  bool merges = false;        ///< The rows already have a result from an earlier block, to be merged with this one's.

  bool operator==(const AttentionBlock&) const = default;
};

/// The blocks in order of execution: a segment's own keys before its prefix. With a window no block has more than
/// max_block_rows(window) rows and that many plus the window keys, so that masks stay small.
std::vector<AttentionBlock> plan_attention(std::span<const Segment> segments, std::optional<std::int64_t> window);

/// Rows of a block with a mask: short windows get short blocks, since keys outside the window are wasted work.
std::int64_t max_block_rows(std::int64_t window);

}  // namespace collimate
