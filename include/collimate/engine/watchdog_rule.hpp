#pragma once
// When a job counts as stuck, and what is said of it then: pure functions of what the ranks know of each other.

#include <chrono>
#include <optional>
#include <string>

#include "collimate/comm/health_channel.hpp"

namespace collimate {

/// How long is too long.
struct WatchdogLimits {
  std::chrono::milliseconds action{0};   ///< without progress
  std::chrono::milliseconds silence{0};  ///< without a heartbeat

  /// For `runtime.watchdog_seconds`: a rank that is stopped or gone is found out after a minute at most.
  static WatchdogLimits of(std::chrono::milliseconds limit);
};

/// Why the job is stuck, in one line; nothing while it is not. It is when a rank is not heard of, when a rank's own
/// work makes no progress, or when every rank waits for others and none makes progress. A rank that waits while another
/// one works is not stuck. `health` is of a rank that listens. *Local.*
std::optional<std::string> find_stuck(const JobHealth& health, const WatchdogLimits& limits);

/// Why, as far as this rank can tell, rank 0 is gone: its store does not answer. Each rank waits a little longer than
/// the one before, so that one speaks. *Local.*
std::optional<std::string> find_lost_store(const JobHealth& health, const WatchdogLimits& limits);

/// `reason`, and below it a line for each rank: what it did last and how long ago. Of a large job the ranks whose last
/// action is oldest. *Local.*
std::string describe_stuck(const std::string& reason, const JobHealth& health, const WatchdogLimits& limits);

}  // namespace collimate
