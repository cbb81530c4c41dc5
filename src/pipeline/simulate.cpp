#include "collimate/pipeline/simulate.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/pipeline/validate.hpp"
#include "products.hpp"

namespace collimate {

namespace {

constexpr double kNoTime = std::numeric_limits<double>::infinity();

double cost_of(const Action& action, const StageCosts& costs) {
  switch (action.kind) {
    case ActionKind::kForward:
      return costs.forward[action.stage];
    case ActionKind::kBackward:
      return costs.input_gradient[action.stage] + costs.weight_gradient[action.stage];
    case ActionKind::kInputGradient:
      return costs.input_gradient[action.stage];
    case ActionKind::kWeightGradient:
      return costs.weight_gradient[action.stage];
    default:
      return 0;
  }
}

/// Plays the ranks of one schedule.
class Player {
 public:
  Player(const Schedule& schedule, const StageCosts& costs)
      : schedule_(schedule),
        costs_(costs),
        made_at_(schedule.num_stages(), schedule.num_microbatches, kNoTime),
        arrived_at_(schedule.num_stages(), schedule.num_microbatches, kNoTime),
        clocks_(schedule.actions.size(), 0.0),
        timed_(schedule.actions.size()) {}

  std::vector<std::vector<TimedAction>> play() {
    for (bool any_moved = true; any_moved;) {
      any_moved = false;
      for (int pp_rank = 0; pp_rank < schedule_.num_ranks(); ++pp_rank) {
        while (play_next(pp_rank)) any_moved = true;
      }
    }
    require_end();
    for (auto& actions : timed_) {
      for (TimedAction& timed : actions) {
        if (is_receive(timed.action.kind)) timed.end = std::max(timed.begin, arrived_at_[carried_by(timed.action)]);
      }
    }
    return std::move(timed_);
  }

 private:
  [[nodiscard]] const Action* next_of(int pp_rank) const {
    const std::size_t position = timed_[pp_rank].size();
    return position < schedule_.actions[pp_rank].size() ? &schedule_.actions[pp_rank][position] : nullptr;
  }

  /// When `pp_rank` has what `action` needs, at the earliest now.
  double ready_at(int pp_rank, const Action& action) {
    double time = clocks_[pp_rank];
    for_each_need(action, schedule_.num_stages(), [&](const Product& need) {
      const bool is_own = schedule_.rank_of_stage[need.stage] == pp_rank;
      time = std::max(time, is_own ? made_at_[need] : arrived_at_[need]);
    });
    return time;
  }

  /// Plays one action unless it waits for another rank; whether it did.
  bool play_next(int pp_rank) {
    const Action* action = next_of(pp_rank);
    if (action == nullptr) return false;
    const double begin = ready_at(pp_rank, *action);
    if (begin == kNoTime) return false;
    const double end = begin + (is_send(action->kind) ? costs_.message_latency : cost_of(*action, costs_));
    if (is_compute(action->kind)) clocks_[pp_rank] = end;
    if (is_send(action->kind)) arrived_at_[carried_by(*action)] = end;
    if (const auto product = product_of(*action)) made_at_[*product] = end;
    timed_[pp_rank].push_back({*action, begin, end});
    return true;
  }

  void require_end() const {
    std::string standing;
    for (int pp_rank = 0; pp_rank < schedule_.num_ranks(); ++pp_rank) {
      const Action* action = next_of(pp_rank);
      if (action == nullptr) continue;
      standing += fmt::format("{}rank {} at action {} ({})", standing.empty() ? "" : ", ", pp_rank,
                              timed_[pp_rank].size(), describe(*action));
    }
    if (!standing.empty()) throw InvariantError("schedule: a deadlock, all wait: " + standing);
  }

  const Schedule& schedule_;
  const StageCosts& costs_;
  ProductTable<double> made_at_;     ///< on the rank of the stage
  ProductTable<double> arrived_at_;  ///< on the rank that needs it
  std::vector<double> clocks_;       ///< [num ranks], when each has computed what it played so far
  std::vector<std::vector<TimedAction>> timed_;
};

/// Fills in what follows from the times of the actions.
void sum_up(Timeline& timeline) {
  double first = kNoTime;
  double last = 0;
  for (const auto& actions : timeline.actions) {
    double& busy = timeline.busy.emplace_back(0);
    for (const TimedAction& timed : actions) {
      if (!is_compute(timed.action.kind)) continue;
      busy += timed.end - timed.begin;
      first = std::min(first, timed.begin);
      last = std::max(last, timed.end);
    }
  }
  const double busiest = timeline.busy.empty() ? 0 : std::ranges::max(timeline.busy);
  timeline.begin = first == kNoTime ? 0 : first;
  timeline.span = last - timeline.begin;
  timeline.bubble = busiest > 0 ? (timeline.span - busiest) / busiest : 0;
}

}  // namespace

StageCosts even_costs(int num_stages) {
  const std::vector<double> ones(static_cast<std::size_t>(num_stages), 1.0);
  return {.forward = ones, .input_gradient = ones, .weight_gradient = ones};
}

Timeline simulate(const Schedule& schedule, const StageCosts& costs) {
  for (const auto* times : {&costs.forward, &costs.input_gradient, &costs.weight_gradient}) {
    check(std::ssize(*times) == schedule.num_stages(), "every stage has its costs");
  }
  Timeline timeline{.actions = Player(schedule, costs).play()};
  sum_up(timeline);
  for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) {
    timeline.peak_live_activations.push_back(peak_live_activations(schedule, pp_rank));
  }
  return timeline;
}

}  // namespace collimate
