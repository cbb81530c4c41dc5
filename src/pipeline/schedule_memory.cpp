#include "collimate/pipeline/schedule_memory.hpp"

namespace collimate {

namespace {

class MemoryPlayer {
 public:
  MemoryPlayer(const Schedule& schedule, int pp_rank, StagePlay& stages, MemoryTape& tape)
      : schedule_(schedule), pp_rank_(pp_rank), stages_(stages), tape_(tape) {}

  void play(const Action& action) {
    const std::int64_t bytes = stages_.message_bytes(action.microbatch);
    switch (action.kind) {
      case ActionKind::kReceiveActivation:
      case ActionKind::kReceiveGradient:
        return hold(bytes);
      case ActionKind::kSendActivation:
        return end_sent();  // what is sent is kept for the backward pass anyway
      case ActionKind::kSendGradient:
        end_sent();
        sent_ = bytes;
        return;
      case ActionKind::kForward:
      case ActionKind::kWeightGradient:
        return stages_.compute(action, tape_);
      case ActionKind::kBackward:
      case ActionKind::kInputGradient:
        return backward(action, bytes);
    }
  }

  void end_sent() {
    release(sent_);
    sent_ = 0;
  }

 private:
  void backward(const Action& action, std::int64_t bytes) {
    const bool is_first = action.stage == 0;
    if (action.stage + 1 < schedule_.num_stages()) release(bytes);  // the gradient, which is the stage's now
    stages_.compute(action, tape_);
    if (is_first) return;
    hold(bytes);  // the gradient of the input
    const int before = schedule_.rank_of_stage[static_cast<std::size_t>(action.stage) - 1];
    if (before != pp_rank_) release(bytes);  // the input, that came by message
  }

  void hold(std::int64_t bytes) { tape_.hold(MemoryKind::kCommunication, bytes); }
  void release(std::int64_t bytes) { tape_.release(MemoryKind::kCommunication, bytes); }

  const Schedule& schedule_;
  int pp_rank_;
  StagePlay& stages_;
  MemoryTape& tape_;
  std::int64_t sent_ = 0;  // a gradient on its way
};

}  // namespace

void play_schedule(const Schedule& schedule, int pp_rank, StagePlay& stages, MemoryTape& tape) {
  MemoryPlayer player(schedule, pp_rank, stages, tape);
  for (const Action& action : schedule.actions.at(static_cast<std::size_t>(pp_rank))) player.play(action);
  player.end_sent();
}

}  // namespace collimate
