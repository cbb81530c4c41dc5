#include "collimate/pipeline/schedule.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

std::vector<int> stages_of_rank(const std::vector<int>& rank_of_stage, int pp_rank) {
  std::vector<int> stages;
  for (int stage = 0; stage < std::ssize(rank_of_stage); ++stage) {
    if (rank_of_stage[stage] == pp_rank) stages.push_back(stage);
  }
  return stages;
}

int peer_of(const Schedule& schedule, const Action& message) {
  check(!is_compute(message.kind), "only messages have another end");
  const bool is_upward = message.kind == ActionKind::kSendActivation || message.kind == ActionKind::kReceiveGradient;
  const int stage = message.stage + (is_upward ? 1 : -1);
  check(stage >= 0 && stage < schedule.num_stages(), "a message has a stage at its other end");
  return schedule.rank_of_stage[stage];
}

std::string describe(const Action& action) {
  std::string kind(enum_name(action.kind));
  std::ranges::replace(kind, '_', ' ');
  return fmt::format("{} of stage {}, microbatch {}", kind, action.stage, action.microbatch);
}

}  // namespace collimate
