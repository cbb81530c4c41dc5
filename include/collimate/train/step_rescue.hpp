#pragma once
// What a job does when a scheduler leaves it less time than its step takes: it gives the step up, saves what the step
// before has left, and ends. The thread that trains may be anywhere meanwhile, also inside a call that waits for a
// rank.

#include <functional>
#include <optional>
#include <thread>

#include "collimate/engine/job_stop.hpp"
#include "collimate/train/work_gate.hpp"

namespace collimate {

/// How much time there is, in seconds.
struct GraceView {
  double whole = 0;
  double left = 0;
  double at_work = 0;                  ///< since the work began
  std::optional<double> usual_work;    ///< what it takes as a rule
  std::optional<double> usual_saving;  ///< likewise
};

/// Whether work under way must be given up for a save to be whole in time. *Local*, pure.
bool must_give_up(const GraceView& view);

/// Ends the job with an exit code, whatever its main threads do; does not return.
using EndJob = std::function<void(ExitCode code)>;

/// What a rescue works with. Not owned.
struct RescueParts {
  WorkGate& gate;
  JobStop& stop;
  std::function<std::optional<double>()> usual_saving;  ///< seconds; called by the thread that watches
  /// *Collective* over the job, by the threads that watch: makes what was agreed on durable. The work is never heard of
  /// again.
  std::function<void(WorkKind given_up)> save;
  EndJob end_job;  ///< called on every rank, after `save`
  const Log& log;
};

/// Watches from a thread of its own until it is destroyed.
class StepRescue {
 public:
  explicit StepRescue(RescueParts parts);

 private:
  void watch(const std::stop_token& stop);
  void look();
  [[nodiscard]] bool is_hopeless(const WorkGate::View& work);
  [[nodiscard]] bool is_given_up(std::int64_t number);
  [[noreturn]] void rescue();

  RescueParts parts_;
  int num_looks_ = 0;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace collimate
