#pragma once
// How long ago something was, not counting what came before a suspension of the whole process.

#include <algorithm>
#include <chrono>
#include <mutex>

namespace collimate {

/// Ages that begin anew where the process itself was stopped (`scontrol suspend`, a debugger). It is asked often: when
/// nobody has asked for longer than `longest_pause`, the process was stopped meanwhile. Any thread may ask. *Local.*
class AwakeClock {
 public:
  using Clock = std::chrono::steady_clock;

  explicit AwakeClock(Clock::duration longest_pause, Clock::time_point now = Clock::now())
      : longest_pause_(longest_pause), asked_(now), awake_since_(now) {}

  /// Time since `then`, or since the process went on if that was later.
  [[nodiscard]] Clock::duration age(Clock::time_point then, Clock::time_point now = Clock::now()) {
    const std::scoped_lock lock(mutex_);
    if (now - asked_ > longest_pause_) awake_since_ = now;
    asked_ = std::max(asked_, now);
    return std::max(now - std::max(then, awake_since_), Clock::duration::zero());
  }

 private:
  Clock::duration longest_pause_;
  std::mutex mutex_;
  Clock::time_point asked_;
  Clock::time_point awake_since_;
};

}  // namespace collimate
