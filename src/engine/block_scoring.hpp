#pragma once
// One copy of the model goes through its share of blocks: the next one is read and the last one written meanwhile.

#include <cstddef>
#include <vector>

#include "collimate/engine/reference_job.hpp"

namespace collimate::detail {

/// What one copy of the model scores. Not owned.
struct BlockShare {
  std::vector<const ReferenceBlock*> blocks;
  std::size_t num_pairs_of_all = 0;  ///< of all copies together
};

/// *Collective* over the job. Loads the model where the job has none, scores the blocks one after the other and saves
/// each as soon as it is scored; all that were begun are durable when it returns, which it does early when a rank asks
/// to stop. Throws AgreedError where it does not fit into memory, Error from one rank.
void score_share(const ReferenceJob& job, const ReferenceForm& form, const BlockParts& parts, const BlockShare& share);

}  // namespace collimate::detail
