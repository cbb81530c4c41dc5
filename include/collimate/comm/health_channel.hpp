#pragma once
// What the ranks of a job know of each other without MPI: a heartbeat a rank, and notices of which the first stays. It
// goes through the job's store, so that it works while main threads are blocked.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collimate/base/activity_log.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/comm/job_store.hpp"
#include "collimate/comm/notices.hpp"

namespace collimate {

/// What is known of one rank.
struct RankHealth {
  std::string host;
  Activity activity;                        ///< its `since` has no meaning here: it is of another machine's clock
  std::chrono::milliseconds action_age{0};  ///< since its last action
  std::chrono::milliseconds silent_for{0};  ///< since its last heartbeat came
};

/// What one rank knows of the job. Time in which the whole process was stopped does not count in any age.
struct JobHealth {
  int world_rank = 0;             ///< whose view it is
  std::vector<RankHealth> ranks;  ///< [world size]; on ranks that do not listen, only their own is renewed
  std::chrono::milliseconds store_silent_for{0};  ///< since rank 0's store last answered
  bool listens = false;  ///< whether this rank reads all heartbeats: rank 0, its deputy, small jobs
};

struct HealthOptions {
  std::chrono::milliseconds beat{1000};  ///< between two heartbeats
  /// Called about twice a beat by a thread that no store can hold up: it must call the channel only where the job is to
  /// end. Empty: nobody looks.
  std::function<void(const JobHealth& health)> on_look = {};
  /// Called after each beat that the store has answered, by the thread that beats; it may publish and find.
  std::function<void()> on_beat = {};
};

/// Heartbeats and notices of one rank. *Collective* where it is made and destroyed; all else is local.
class HealthChannel final : public Notices {
 public:
  /// *Collective.* Starts to beat: from now on `activity` is read. `store`, `activity` and what the functions refer to
  /// must outlive the channel. Throws Error when rank 0 cannot be reached.
  HealthChannel(JobStore& store, Communicator& world, ActivityLog& activity, HealthOptions options);
  /// *Collective*: beats, and looks, until every rank has come here (JobStore::close), unless an exception unwinds.
  ~HealthChannel() override;
  /// *Local.* Puts a value that every rank can find; the first value of a key stays. Any thread may call it: it waits
  /// for rank 0's store alone, never for a rank or for the thread that beats. Throws Error when the store has gone.
  void publish(const std::string& key, const std::string& value) override;
  /// *Local.* What was published under a key, if anything was. As publish, it never waits for another rank.
  [[nodiscard]] std::optional<std::string> find(const std::string& key) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
