#pragma once
// Scoring: what the frozen model says of pairs, for the reference store.

#include <functional>
#include <span>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// Called on every rank after each block with the pairs scored so far by all ranks.
using ScoringProgress = std::function<void(std::uint64_t num_scored)>;

/// *Collective* over the job. Rows of the given pairs, on every rank, in the order of the pairs. Pairs go through
/// the model in blocks of `block_pairs`, shared out over the ranks. Throws Error naming the pair when a log-prob is not
/// finite.
std::vector<ReferenceRow> score_pairs(ModelPass& pass, const BatchSource& source,
                                      std::span<const std::uint64_t> pair_indices, std::int64_t block_pairs,
                                      Communicator& world, const ScoringProgress& progress);

}  // namespace collimate
