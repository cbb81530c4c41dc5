#pragma once
// Scoring: what the frozen model says of pairs, for the reference store.

#include <functional>
#include <span>
#include <vector>

#include "collimate/comm/communicator.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/nn/stage.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// Called on every rank after each block with the pairs scored so far by all ranks.
using ScoringProgress = std::function<void(std::uint64_t num_scored)>;

/// *Collective* over the data axis. Rows of the given pairs, on every rank, in the order of the pairs. Pairs go through
/// the model in blocks of `block_pairs`, shared out over the ranks. Throws Error naming the pair when a log-prob is not
/// finite.
std::vector<ReferenceRow> score_pairs(const Stage& stage, const BatchSource& source,
                                      std::span<const std::uint64_t> pair_indices, std::int64_t block_pairs,
                                      Communicator& data, const ScoringProgress& progress);

}  // namespace collimate
