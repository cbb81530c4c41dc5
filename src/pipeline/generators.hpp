#pragma once
// The generators behind generate_schedule.

#include <utility>
#include <vector>

#include "collimate/pipeline/generate.hpp"

namespace collimate {

/// Forwards of `pp_rank` before its first backward is due, of the types that have whole backwards; may be more than
/// there are. 1f1b gives each later rank one microbatch under way. interleaved gives it two, so that a message has a
/// turn to arrive in, and takes num_ranks microbatches through each of its own stages but the last first.
int num_warm_up_forwards(const ScheduleOptions& options, int pp_rank);

/// The list of `pp_rank`, by type.
std::vector<Action> actions_of_rank(const ScheduleOptions& options, int pp_rank);
std::vector<Action> zb_h1_actions(const ScheduleOptions& options, int pp_rank);
std::vector<Action> zbv_actions(const ScheduleOptions& options, int pp_rank);

/// In time steps of one action each: every rank takes, of what is ready, the input gradient of its first stage that has
/// one, else the forward of its last, else a weight gradient. Nothing bounds the activations. `with_gradients` false:
/// forwards alone.
Schedule list_schedule(const std::vector<int>& rank_of_stage, int num_microbatches, bool with_gradients);

}  // namespace collimate
