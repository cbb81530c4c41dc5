#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <ranges>

#include "collimate/base/error.hpp"
#include "generators.hpp"
#include "products.hpp"

namespace collimate {

namespace {

constexpr int kNever = std::numeric_limits<int>::max();

/// Plays all ranks step by step and writes down what they do.
class ListScheduler {
 public:
  ListScheduler(const std::vector<int>& rank_of_stage, int num_microbatches, bool with_gradients)
      : schedule_{.num_microbatches = num_microbatches, .rank_of_stage = rank_of_stage, .actions = {}},
        with_gradients_(with_gradients),
        made_at_(schedule_.num_stages(), num_microbatches, kNever) {
    const int num_ranks = rank_of_stage.empty() ? 0 : std::ranges::max(rank_of_stage) + 1;
    for (int pp_rank = 0; pp_rank < num_ranks; ++pp_rank) {
      stages_.push_back(stages_of_rank(rank_of_stage, pp_rank));
      check(!stages_.back().empty(), "every pipeline rank holds a stage");
    }
    schedule_.actions.resize(stages_.size());
  }

  Schedule run() {
    int num_left = schedule_.num_stages() * schedule_.num_microbatches * (with_gradients_ ? 3 : 1);
    for (; num_left > 0; ++now_) {
      for (std::size_t pp_rank = 0; pp_rank < stages_.size(); ++pp_rank) {
        const std::optional<Action> action = choose(stages_[pp_rank]);
        if (!action) continue;
        schedule_.actions[pp_rank].push_back(*action);
        ++next_[{action->kind, action->stage}];
        if (const auto product = product_of(*action)) made_at_[*product] = now_ + 1;
        --num_left;
      }
    }
    return std::move(schedule_);
  }

 private:
  std::optional<Action> choose(const std::vector<int>& stages) {
    if (with_gradients_) {
      for (const int stage : stages) {
        if (const auto action = try_next(ActionKind::kInputGradient, stage)) return action;
      }
    }
    for (const int stage : std::views::reverse(stages)) {
      if (const auto action = try_next(ActionKind::kForward, stage)) return action;
    }
    for (const int stage : stages) {
      if (const auto action = try_next(ActionKind::kWeightGradient, stage)) return action;
    }
    return std::nullopt;
  }

  /// The next microbatch of a kind at a stage, if what it needs was made in an earlier step.
  std::optional<Action> try_next(ActionKind kind, int stage) {
    const Action action{kind, stage, next_[{kind, stage}]};
    bool is_ready = action.microbatch < schedule_.num_microbatches;
    if (!is_ready) return std::nullopt;
    for_each_need(action, schedule_.num_stages(), [&](const Product& need) { is_ready &= made_at_[need] <= now_; });
    return is_ready ? std::optional(action) : std::nullopt;
  }

  Schedule schedule_;
  bool with_gradients_;
  std::vector<std::vector<int>> stages_;  ///< [num ranks]
  std::map<std::pair<ActionKind, int>, int> next_;
  ProductTable<int> made_at_;
  int now_ = 0;
};

}  // namespace

Schedule list_schedule(const std::vector<int>& rank_of_stage, int num_microbatches, bool with_gradients) {
  check(num_microbatches >= 0, "a number of microbatches is not negative");
  return ListScheduler(rank_of_stage, num_microbatches, with_gradients).run();
}

}  // namespace collimate
