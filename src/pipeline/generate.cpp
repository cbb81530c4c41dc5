#include "collimate/pipeline/generate.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "generators.hpp"

namespace collimate {

namespace {

void require_virtual_stages(ScheduleType type, int virtual_stages) {
  const int wanted = type == ScheduleType::kZbv ? 2 : 1;
  if (type == ScheduleType::kInterleaved || virtual_stages == wanted) return;
  throw InputError(fmt::format(
      "parallel.virtual_stages: {}: schedule {} has {} on each pipeline rank; only interleaved takes any number",
      virtual_stages, enum_name(type), wanted == 1 ? "one stage" : "two stages"));
}

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

/// The types with whole backwards: `num_warm_up_forwards` forwards, then backward and forward in turns. With several
/// stages a rank, each takes a group of num_ranks microbatches before the next one does. Made for whole groups: what a
/// microbatch beyond the last would do is left out, which keeps the order of all the others.
std::vector<Action> warmed_up_actions(const ScheduleOptions& options, int pp_rank) {
  const int group = options.num_ranks * options.virtual_stages;
  const int num_forwards = round_up(options.num_microbatches, options.num_ranks) * options.virtual_stages;
  const int warm_up = std::min(num_warm_up_forwards(options, pp_rank), num_forwards);
  std::vector<Action> actions;
  const auto add = [&](ActionKind kind, int n) {
    const int depth = n % group / options.num_ranks;
    const int turn = kind == ActionKind::kForward ? depth : options.virtual_stages - 1 - depth;
    const int microbatch = n / group * options.num_ranks + n % options.num_ranks;
    if (microbatch >= options.num_microbatches) return;
    actions.push_back({kind, turn * options.num_ranks + pp_rank, microbatch});
  };
  for (int n = 0; n < num_forwards + warm_up; ++n) {
    if (n < num_forwards) add(ActionKind::kForward, n);
    if (n >= warm_up) add(ActionKind::kBackward, n - warm_up);
  }
  return actions;
}

}  // namespace

int num_warm_up_forwards(const ScheduleOptions& options, int pp_rank) {
  const int num_later_ranks = options.num_ranks - 1 - pp_rank;
  switch (options.type) {
    case ScheduleType::kGpipe:
      return round_up(options.num_microbatches, options.num_ranks);
    case ScheduleType::k1f1b:
      return num_later_ranks;
    case ScheduleType::kInterleaved:
      return 2 * num_later_ranks + (options.virtual_stages - 1) * options.num_ranks;
    default:
      throw InvariantError("a type with split backwards has another warm-up");
  }
}

std::vector<Action> actions_of_rank(const ScheduleOptions& options, int pp_rank) {
  if (options.type == ScheduleType::kZbH1) return zb_h1_actions(options, pp_rank);
  if (options.type == ScheduleType::kZbv) return zbv_actions(options, pp_rank);
  return warmed_up_actions(options, pp_rank);
}

std::vector<int> place_stages(ScheduleType type, int num_ranks, int virtual_stages) {
  check(num_ranks >= 1 && virtual_stages >= 1, "a pipeline has a rank, and each rank a stage");
  require_virtual_stages(type, virtual_stages);
  std::vector<int> rank_of_stage;
  for (int stage = 0; stage < num_ranks * virtual_stages; ++stage) {
    const bool goes_back = type == ScheduleType::kZbv && stage >= num_ranks;
    rank_of_stage.push_back(goes_back ? 2 * num_ranks - 1 - stage : stage % num_ranks);
  }
  return rank_of_stage;
}

Schedule generate_schedule(const ScheduleOptions& options) {
  check(options.num_microbatches >= 0, "a number of microbatches is not negative");
  const std::vector<int> rank_of_stage = place_stages(options.type, options.num_ranks, options.virtual_stages);
  // All of these fit in zbv's memory at once, so that nothing but the order of the data is to be minded.
  const bool fits_at_once = options.num_microbatches <= options.num_ranks;
  if (options.type == ScheduleType::kZbv && fits_at_once) {
    return list_schedule(rank_of_stage, options.num_microbatches, true);
  }
  Schedule schedule{.num_microbatches = options.num_microbatches, .rank_of_stage = rank_of_stage, .actions = {}};
  for (int pp_rank = 0; pp_rank < options.num_ranks; ++pp_rank) {
    schedule.actions.push_back(actions_of_rank(options, pp_rank));
  }
  return schedule;
}

Schedule forward_schedule(const std::vector<int>& rank_of_stage, int num_microbatches) {
  return list_schedule(rank_of_stage, num_microbatches, false);
}

}  // namespace collimate
