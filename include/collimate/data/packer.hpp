#pragma once
// The plan of a step: which data-parallel rank handles which pairs, in which microbatches. Pure: every rank computes
// the whole plan from the pairs' lengths alone, so no shapes are ever exchanged.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "collimate/data/pair.hpp"

namespace collimate {

/// Estimated time of a pair, in any unit: linear in its stream tokens, and quadratic through attention. A model's own
/// ratio is the FLOPs of its matrices a token, against 4 * layers * heads * head_dim a (query, key) pair; with the
/// default a pair costs its tokens.
struct PairCost {
  double per_token = 1.0;
  double per_attended_key = 0.0;
  std::optional<std::int64_t> window = std::nullopt;
};

struct PackingOptions {
  std::int64_t num_dp_ranks = 1;
  std::int64_t microbatch_tokens = 4096;  ///< most stream tokens of a microbatch; a longer pair has one of its own
  PairLayout layout;
  PairCost cost;
};

/// Positions in the batch that was packed: `microbatches[dp_rank][microbatch]`. Every position stands in exactly one
/// microbatch. All ranks have the same number of microbatches, so that they reduce gradients equally often: the last
/// ones of a rank may be empty, and all of them where there are fewer pairs than ranks.
struct PackingPlan {
  using MicroBatchIndices = std::vector<std::size_t>;
  std::vector<std::vector<MicroBatchIndices>> microbatches;
  bool operator==(const PackingPlan&) const = default;
};

/// Balances the pairs' cost over the data axis, the most expensive first to the least loaded rank (no rank exceeds the
/// mean by more than one pair's cost), then fills few microbatches of even size on every rank, the largest first.
/// Inside a microbatch pairs keep the batch's order. A pure function of its arguments. *Local.*
PackingPlan pack(std::span<const PairLengths> batch, const PackingOptions& options);

}  // namespace collimate
