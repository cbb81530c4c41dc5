#include "collimate/optim/owned_run.hpp"

namespace collimate {

OwnedRun owned_run(const ShardPlan& plan, std::size_t index, const PlacedTensor& placed, const DataRank& rank) {
  OwnedRun run{.piece = slice_of(placed), .bucket = 0, .in_part = plan.parameter(index)};
  if (rank.zero_stage == 0) return run;
  run.bucket = plan.bucket_of(index);
  run.in_part = plan.parameter_part(index, rank.dp_rank);
  const std::int64_t begin = plan.part(plan.buckets()[run.bucket], rank.dp_rank).begin + run.in_part.begin;
  run.piece.flat = {.begin = run.in_part.length == 0 ? 0 : begin - plan.parameter(index).begin,
                    .length = run.in_part.length};
  return run;
}

OwnedRun saved_run(const ShardPlan& plan, std::size_t index, const PlacedTensor& placed, const DataRank& rank) {
  OwnedRun run = owned_run(plan, index, placed, rank);
  if (!placed.placement.is_primary) {
    run.piece.flat.length = run.in_part.length = 0;
  } else if (rank.zero_stage == 0) {
    const ShardRange share = shard_range(run.in_part.length, plan.num_ranks(), rank.dp_rank);
    run.piece.flat = share;
    run.in_part = {.begin = run.in_part.begin + share.begin, .length = share.length};
  }
  return run;
}

}  // namespace collimate
