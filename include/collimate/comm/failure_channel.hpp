#pragma once
// How one rank's failure ends a job whose other ranks wait for it. The message goes over TCP, not over MPI: rank 0
// hears it while its main thread is inside an MPI call that will never return.

#include <functional>
#include <memory>
#include <string>

#include "collimate/base/error.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/comm/job_store.hpp"

namespace collimate {

/// Carries the first failure of a job to rank 0. A world of one has no thread.
class FailureChannel {
 public:
  using OnFailure = std::function<void(const std::string& message, ExitCode code)>;

  /// *Collective.* `on_failure` prints the message and ends the job; it is called on rank 0, at most once, by a thread
  /// of the channel's own. `store` must outlive the channel.
  FailureChannel(JobStore& store, Communicator& world, OnFailure on_failure);
  /// *Collective*: returns, and failures are heard, until every rank has come here.
  ~FailureChannel();
  FailureChannel(const FailureChannel&) = delete;
  FailureChannel& operator=(const FailureChannel&) = delete;

  /// *Local.* For a rank that has failed: makes "rank R (host): message" the job's failure unless there is one, waits
  /// to be ended with the job, and after 5 s ends this process with `code`. Rank 0 being gone, the message is printed
  /// here.
  [[noreturn]] void report_and_wait(const std::string& message, ExitCode code);
  /// *Local.* As report_and_wait, for a failure that is not this rank's own: the message stands as it is.
  [[noreturn]] void end_job(const std::string& message, ExitCode code);

 private:
  class Listener;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
