#include "heartbeat_board.hpp"

#include <utility>

namespace collimate::detail {

void HeartbeatBoard::hear(std::size_t world_rank, Heartbeat beat) {
  const std::scoped_lock lock(mutex_);
  Heard& last = heard_[world_rank];
  if (beat.number != last.beat.number) last = {.beat = std::move(beat), .at = Clock::now()};
}

void HeartbeatBoard::note_answer() {
  const std::scoped_lock lock(mutex_);
  answered_ = Clock::now();
}

JobHealth HeartbeatBoard::health(AwakeClock& clock) const {
  const std::scoped_lock lock(mutex_);
  JobHealth health;
  for (const Heard& last : heard_) {
    const auto silent = in_milliseconds(clock.age(last.at));
    health.ranks.push_back({.host = last.beat.host,
                            .activity = {.work = last.beat.work,
                                         .waiting = last.beat.waiting,
                                         .step = last.beat.step,
                                         .progress = last.beat.progress},
                            .action_age = last.beat.age + silent,
                            .silent_for = silent});
  }
  health.store_silent_for = in_milliseconds(clock.age(answered_));
  return health;
}

}  // namespace collimate::detail
