#pragma once
// Ends a job that hangs, with a report of what each rank did last and the stacks of all threads. It needs no MPI: a
// rank that is stopped cannot answer, and MPI may be what everybody waits in.

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "collimate/base/activity_log.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/comm/health_channel.hpp"

namespace collimate {

struct WatchdogOptions {
  std::optional<std::chrono::seconds> limit;  ///< RuntimeConfig::watchdog_seconds; unset: only the channel is kept
  std::filesystem::path stacks_folder;        ///< made when it is needed: rank_00003.txt and so on
  /// Prints the report on rank 0 and ends the job, from any thread; called on rank 0.
  std::function<void(const std::string& report)> end_job;
  /// The same where rank 0 does not answer: prints here.
  std::function<void(const std::string& report)> end_without_rank_0;
};

/// One rank's part of the watch over a job; owns the job's HealthChannel.
class Watchdog {
 public:
  /// *Collective.* From now on `activity` is watched. What it is given must outlive it. Throws as HealthChannel does.
  Watchdog(JobStore& store, Communicator& world, ActivityLog& activity, WatchdogOptions options);
  /// *Collective*: watches until every rank has come here.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  [[nodiscard]] HealthChannel& channel() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// *Local.* Ends this process with exit code 1 when `patience` is over, whatever its other threads wait for: for one
/// that is about to end in another way.
void end_process_after(std::chrono::milliseconds patience);

}  // namespace collimate
