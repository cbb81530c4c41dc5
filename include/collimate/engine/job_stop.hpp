#pragma once
// How a job whose ranks got a signal comes to stop: every rank asks at the places where it could, and all agree.

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include "collimate/base/error.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/comm/notices.hpp"
#include "collimate/engine/stop_signal.hpp"

namespace collimate {

/// What the process says to its launcher when it has stopped, everything being durable.
ExitCode exit_code_of(StopKind kind);

/// The stop requests of a job as one rank knows them. Used by any thread.
class JobStop {
 public:
  /// `signal` and `notices` must outlive it. `grace_seconds`: how long after a scheduler's signal the job may go on.
  JobStop(const StopSignal& signal, Notices& notices, int world_rank, double grace_seconds);

  /// *Local.* What this rank's own signal asks for. The other ranks can hear of it from then on.
  [[nodiscard]] StopKind own();
  /// *Local.* Likewise, or what another rank's asks for, if there is one. Costs a message.
  [[nodiscard]] StopKind heard();

  /// *Local.* "SIGTERM on rank 2 (n3)": the request that was heard first. There must be one.
  [[nodiscard]] std::string cause();
  /// *Local.* Since that request came, by the clocks of both machines.
  [[nodiscard]] double seconds_since();
  [[nodiscard]] Notices& notices() const noexcept { return notices_; }
  [[nodiscard]] double grace_seconds() const noexcept { return grace_seconds_; }
  /// *Local.* "2.1 s after SIGTERM on rank 2 (n3), 57.9 s of runtime.grace_seconds left"; of an interrupt only when.
  [[nodiscard]] std::string account();

 private:
  struct Request {
    int signal = 0;
    std::chrono::system_clock::time_point at;
    std::string place;

    [[nodiscard]] std::string cause() const;
    [[nodiscard]] double seconds_since() const;
  };
  /// The one that was published first; nothing where that cannot be read.
  [[nodiscard]] std::optional<Request> find_request();
  /// Likewise, or else what is known of it here.
  [[nodiscard]] Request request();

  const StopSignal& signal_;
  Notices& notices_;
  std::string place_;
  double grace_seconds_;
  std::atomic<bool> is_told_{false};
};

/// The stop requests of all ranks as two values of a reduction (a sum).
struct StopVotes {
  static std::array<double, 2> of(StopKind own);
  /// Of both kinds an interrupt counts: who asks at the keyboard does not want the job started again.
  static StopKind read(std::span<const double, 2> sums);
};

/// *Collective.* What any rank asks for; kNone without `stop`, which is so on all ranks or on none.
StopKind agree_on_stop(JobStop* stop, Communicator& world);

/// *Collective.* Throws Stopped when any rank asks to stop; `state` says what has been reached, for the person.
void leave_if_stopped(JobStop* stop, Communicator& world, const std::string& state);

/// Asks again and again without waiting for the ranks that are slower: the answer of a turn comes with the next.
class StopPoll {
 public:
  using Ask = std::function<StopKind()>;
  /// Null: never stops, and costs nothing; so on all ranks or on none. `device` is where the group's tensors lie.
  StopPoll(Ask ask, Communicator& group, at::Device device);
  ~StopPoll();
  StopPoll(const StopPoll&) = delete;
  StopPoll& operator=(const StopPoll&) = delete;

  /// *Collective.* What any rank has answered at the turn before, the same on all.
  [[nodiscard]] StopKind next();

 private:
  [[nodiscard]] StopKind answer();

  Ask ask_;
  Communicator& group_;
  at::Tensor own_;
  at::Tensor all_;
  WorkHandle work_;  // null before the first turn
};

}  // namespace collimate
