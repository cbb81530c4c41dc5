#pragma once
// Scoring of all that a reference store lacks, in blocks that are durable one by one: a job that is stopped, however it
// is, goes on where it was.

#include <memory>
#include <optional>
#include <vector>

#include "collimate/base/log.hpp"
#include "collimate/engine/job_stop.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "collimate/engine/scorer.hpp"
#include "collimate/store/block_parts.hpp"

namespace collimate {

/// The pairs of a store that are scored together, by ascending id.
struct ReferenceBlock {
  std::vector<Hash128> pair_ids;
  std::vector<PairPlace> places;
};

/// *Local.* The distinct pairs of the data that `existing` lacks, by ascending id, cut into blocks: a function of the
/// data and the store alone. Not owned: `data`.
std::vector<ReferenceBlock> reference_blocks(const RunData& data, const ReferenceStore* existing,
                                             std::int64_t block_pairs);

/// What a scoring job works on. Not owned.
struct ReferenceJob {
  const RunConfig& config;
  const ProcessMesh& mesh;
  const Log& log;
  const ModelSource& model;  ///< the frozen one
  const RunData& data;
  const ReferenceIdentity& identity;
  /// With that model's weights, where there is one already; null: loaded, and freed.
  const ModelShard* shard = nullptr;
  JobStop* stop = nullptr;  ///< null: goes on to its end
};

/// *Collective.* Scores the pairs that the store lacks, block by block, each by one copy of the model, and puts the
/// store together; nothing of a finished block is lost when the job ends in between. Holds the store's lock meanwhile.
/// Throws Stopped when a rank asks to stop, once the blocks under way are durable; AgreedError where the store belongs
/// to something else, cannot be written or is another job's; Error from one rank.
void complete_reference_store(const ReferenceJob& job);

}  // namespace collimate
