#include <algorithm>

#include "collimate/pipeline/validate.hpp"
#include "generators.hpp"

namespace collimate {

namespace {

bool has_backward(const Schedule& schedule) {
  return std::ranges::any_of(schedule.actions, [](const std::vector<Action>& actions) {
    return std::ranges::any_of(actions, [](const Action& action) {
      return action.kind == ActionKind::kBackward || action.kind == ActionKind::kWeightGradient;
    });
  });
}

}  // namespace

int peak_live_activations(const Schedule& schedule, int pp_rank) {
  if (!has_backward(schedule)) return 0;
  int live = 0;
  int peak = 0;
  for (const Action& action : schedule.actions[pp_rank]) {
    if (action.kind == ActionKind::kForward) peak = std::max(peak, ++live);
    if (action.kind == ActionKind::kBackward || action.kind == ActionKind::kWeightGradient) --live;
  }
  return peak;
}

int activation_bound(const ScheduleOptions& options, int pp_rank) {
  const int all = options.num_microbatches * options.virtual_stages;
  switch (options.type) {
    case ScheduleType::kZbH1:
    case ScheduleType::kZbv:
      return std::min(all, options.num_ranks * options.virtual_stages);
    default:
      return std::min(all, num_warm_up_forwards(options, pp_rank) + 1);
  }
}

}  // namespace collimate
