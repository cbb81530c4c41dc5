#pragma once
// The last heartbeat of every rank, as one rank has heard them.

#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

#include "collimate/base/awake_clock.hpp"
#include "collimate/comm/health_channel.hpp"
#include "collimate/comm/heartbeat.hpp"

namespace collimate::detail {

inline std::chrono::milliseconds in_milliseconds(AwakeClock::Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

/// Written by the thread that beats, read by the one that looks. *Local.*
class HeartbeatBoard {
 public:
  explicit HeartbeatBoard(int world_size) : heard_(static_cast<std::size_t>(world_size)) {}

  void hear(std::size_t world_rank, Heartbeat beat);
  /// The store has answered.
  void note_answer();
  /// What is known by now, of every rank.
  [[nodiscard]] JobHealth health(AwakeClock& clock) const;

 private:
  using Clock = AwakeClock::Clock;
  struct Heard {
    Heartbeat beat;
    Clock::time_point at = Clock::now();
  };

  mutable std::mutex mutex_;
  std::vector<Heard> heard_;  // [world size]
  Clock::time_point answered_ = Clock::now();
};

}  // namespace collimate::detail
