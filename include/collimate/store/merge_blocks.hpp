#pragma once
// The last step of scoring: finished blocks and the rows that were there before become one store.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/store/block_parts.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// What a store is put together from; the same on every rank. Not owned.
struct MergeInputs {
  const std::string& path;  ///< of the store
  const ReferenceIdentity& identity;
  const ReferenceForm& form;
  const BlockParts& parts;
  std::span<const std::vector<Hash128>> blocks;   ///< ids of each, ascending; all of them are finished
  const std::optional<ReferenceStore>& existing;  ///< what stands at `path`; has none of the blocks' pairs
};

/// *Collective* over all processes of the job, which is `world`. Each rank reads and writes its share of the rows
/// (parallel HDF5); the store is read back before it takes its name. Gives the same bytes whatever the number of ranks.
/// Throws AgreedError where a block or the old store cannot be read or the disk is full, Error from one rank for what
/// fails within HDF5; the store then is as before.
void merge_blocks(const MergeInputs& inputs, Communicator& world);

}  // namespace collimate
