#pragma once
// How long a schedule takes, and where its ranks wait. Pure.

#include <vector>

#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// Times in any one unit, [num_stages] each; a backward takes both gradients' time.
struct StageCosts {
  std::vector<double> forward;
  std::vector<double> input_gradient;
  std::vector<double> weight_gradient;
  double message_latency = 0;  ///< from sending to arrival; messages take no time of the ranks'
};

/// Every action takes 1 (a backward 2), messages arrive at once.
StageCosts even_costs(int num_stages);

/// An action and its time. A message begins when it is posted and ends when it arrives.
struct TimedAction {
  Action action;
  double begin = 0;
  double end = 0;
};

struct Timeline {
  std::vector<std::vector<TimedAction>> actions;  ///< [num ranks], as in the schedule
  double begin = 0;                               ///< of the first compute action of all ranks
  double span = 0;                                ///< from there to the end of the last
  std::vector<double> busy;                       ///< [num ranks], time spent computing
  double bubble = 0;                              ///< (span - the busiest rank's busy) / the busiest rank's busy
  std::vector<int> peak_live_activations;         ///< [num ranks], as validate.hpp counts them
};

/// Plays `schedule`, messages included (see add_messages): a rank takes its actions in order, waits for the data that
/// a compute action needs and for nothing else. *Local.* Throws InvariantError that says where every rank stands if the
/// ranks wait for each other.
Timeline simulate(const Schedule& schedule, const StageCosts& costs);

}  // namespace collimate
