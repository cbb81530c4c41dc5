#pragma once
// Watches one rank where the watchdog of the job cannot: before it is there (MPI itself, reading the configuration) and
// after it has gone.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "collimate/base/activity_log.hpp"

namespace collimate {

/// The limit for the time before the configuration is read: what `--set runtime.watchdog_seconds=` says, or else the
/// default. Values that are wrong are told of when the configuration is read. *Local.*
std::optional<std::chrono::seconds> start_limit(std::span<const std::string> overrides);

/// A thread that ends this rank when it makes no progress. *Local.*
class StartWatch {
 public:
  /// `end` prints the message and ends the process. Without a limit there is no thread. What it is given must outlive
  /// it.
  StartWatch(std::optional<std::chrono::seconds> limit, const ActivityLog& activity,
             std::function<void(const std::string& message)> end);
  ~StartWatch();
  StartWatch(const StartWatch&) = delete;
  StartWatch& operator=(const StartWatch&) = delete;

  /// From now on the job's watchdog watches, or nobody.
  void pause() noexcept;
  /// This rank is on its own again.
  void resume() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
