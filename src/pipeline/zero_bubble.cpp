// The schedules with weight gradients apart. Both are lists of phases; a phase asks for the next microbatch of a kind,
// and asks in vain once all had their turn, so that the same phases serve any number of microbatches.

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "generators.hpp"

namespace collimate {

namespace {

/// Writes the list of one rank.
class ActionWriter {
 public:
  explicit ActionWriter(int num_microbatches) : num_microbatches_(num_microbatches) {}

  /// Appends the next `times` microbatches of a kind at a stage, as far as there are any.
  void add(ActionKind kind, int stage, int times = 1) {
    int& next = next_[{kind, stage}];
    for (; times > 0 && next < num_microbatches_; --times) actions_.push_back({kind, stage, next++});
  }
  [[nodiscard]] std::vector<Action> take() { return std::move(actions_); }

 private:
  int num_microbatches_;
  std::map<std::pair<ActionKind, int>, int> next_;
  std::vector<Action> actions_;
};

}  // namespace

/// 1f1b, in which rank r puts its weight gradients off by r microbatches: all ranks then hold num_ranks of them, and no
/// rank waits for a weight gradient of another while the input gradients go up the pipeline.
std::vector<Action> zb_h1_actions(const ScheduleOptions& options, int pp_rank) {
  ActionWriter writer(options.num_microbatches);
  writer.add(ActionKind::kForward, pp_rank, options.num_ranks - pp_rank);
  for (int microbatch = 0; microbatch < options.num_microbatches; ++microbatch) {
    writer.add(ActionKind::kInputGradient, pp_rank);
    if (microbatch >= pp_rank) writer.add(ActionKind::kWeightGradient, pp_rank);
    writer.add(ActionKind::kForward, pp_rank);
  }
  writer.add(ActionKind::kWeightGradient, pp_rank, pp_rank);
  return writer.take();
}

/// Microbatch 0 is at the turn, rank p - 1, at time p, back at rank r at 2p - 1 - r, and its gradient comes by at 2p +
/// r and, after the turn, at 4p - 1 - r. Between these times a rank does what is there: forwards down; down and up; up
/// and back. From then on all six kinds take turns without a gap, every rank one step behind the one before it.
std::vector<Action> zbv_actions(const ScheduleOptions& options, int pp_rank) {
  const int num_ranks = options.num_ranks;
  const int num_later = num_ranks - pp_rank;  // itself included
  const int down = pp_rank;
  const int up = 2 * num_ranks - 1 - pp_rank;
  // The turns are those of at least as many microbatches as fill the pipeline.
  const int num_turns = std::max(options.num_microbatches, 2 * num_ranks - 1) - num_ranks;
  ActionWriter writer(options.num_microbatches);
  const auto add_all = [&](int stage) {
    for (const auto kind : {ActionKind::kForward, ActionKind::kInputGradient, ActionKind::kWeightGradient}) {
      writer.add(kind, stage);
    }
  };
  writer.add(ActionKind::kForward, down, 2 * num_later - 1);
  for (int i = 0; i < pp_rank; ++i) {
    writer.add(ActionKind::kForward, up);
    writer.add(ActionKind::kForward, down);
  }
  for (int i = 0; i < num_later; ++i) add_all(up);
  for (int i = 0; i < num_turns; ++i) {
    add_all(down);
    add_all(up);
  }
  for (int i = 0; i < pp_rank; ++i) {
    writer.add(ActionKind::kInputGradient, down);
    writer.add(ActionKind::kInputGradient, up);
  }
  for (int i = 0; i < num_later; ++i) {
    writer.add(ActionKind::kInputGradient, down);
    writer.add(ActionKind::kWeightGradient, down);
  }
  for (const int stage : {up, down}) writer.add(ActionKind::kWeightGradient, stage, options.num_microbatches);
  return writer.take();
}

}  // namespace collimate
