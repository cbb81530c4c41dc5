#pragma once
// What a rank of a pipeline holds while it plays a schedule, as the executor does. Pure.

#include "collimate/base/memory_tape.hpp"
#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// What the stages of a rank hold: the tape's side of StageWork.
class StagePlay {
 public:
  StagePlay() = default;
  virtual ~StagePlay() = default;
  StagePlay(const StagePlay&) = delete;
  StagePlay& operator=(const StagePlay&) = delete;

  /// The compute actions. The input of a stage and the gradients between stages are the schedule's.
  virtual void compute(const Action& action, MemoryTape& tape) = 0;
  /// Of a microbatch's tensor between stages; 0 where the microbatch is empty and none is sent.
  [[nodiscard]] virtual std::int64_t message_bytes(int microbatch) const = 0;
};

/// Plays the actions of `pp_rank`, messages included (add_messages). *Local.*
void play_schedule(const Schedule& schedule, int pp_rank, StagePlay& stages, MemoryTape& tape);

}  // namespace collimate
