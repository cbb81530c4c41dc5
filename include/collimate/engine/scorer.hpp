#pragma once
// Scoring: what the frozen model says of pairs, for the reference store.

#include <cstdint>
#include <span>
#include <vector>

#include "collimate/data/microbatch.hpp"
#include "collimate/data/packer.hpp"
#include "collimate/data/preference_dataset.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/nn/stage_memory.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// Where a pair stands. Not owned.
struct PairPlace {
  const PreferenceDataset* dataset = nullptr;
  std::uint64_t pair = 0;
};

/// *Local.* The sizes of a block's microbatches.
std::vector<StreamSize> block_streams(std::span<const PairPlace> block, const PackingOptions& packing);

/// A block as the model reads it.
struct BlockStreams {
  std::vector<PackingPlan::MicroBatchIndices> positions;  ///< of each microbatch's pairs in the block
  std::vector<MicroBatch> microbatches;
};

/// *Local.* Reads the pairs of a block and packs them. Any thread, one at a time. Throws InputError.
BlockStreams read_block(std::span<const PairPlace> block, const PackingOptions& packing);

/// *Collective* over this rank's copy of the model. Rows of the block's pairs, in their order, on the rank that speaks
/// for the copy; none elsewhere. The block is packed by itself, whatever the data axis, so its rows are the same to the
/// bit wherever and whenever it is scored at one packing. Throws Error naming the pair when a log-prob is not finite.
std::vector<ReferenceRow> score_block(ModelPass& pass, std::span<const PairPlace> block, const BlockStreams& streams,
                                      bool keeps_tokens);

}  // namespace collimate
