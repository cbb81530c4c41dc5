#pragma once
// What must hold of a schedule before anyone plays it. Pure.

#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// Throws InvariantError that says what is wrong and where, unless
/// - each stage and microbatch has one forward and either one backward or one input and one weight gradient, or no
///   microbatch has any of these three (a schedule of forwards alone);
/// - each action stands on the rank that holds its stage, behind what it needs of its own rank and behind the receive
/// of
///   what it needs of others;
/// - each rank posts its receives from another in the order in which that one sends, and none is left over;
/// - ranks that send without waiting, and wait for what they receive where they need it, come to the end.
/// *Local.*
void validate_schedule(const Schedule& schedule);

/// Also holds a generated schedule to the placement and to the activation bound of what it was made for. *Local.*
void validate_schedule(const Schedule& schedule, const ScheduleOptions& options);

/// The most microbatches, each counted once for each stage that it has passed, that `pp_rank` keeps at a time for the
/// backward pass: from forward to backward or weight gradient, which needs the stage's inputs. 0 for forwards alone.
/// *Local.*
int peak_live_activations(const Schedule& schedule, int pp_rank);

/// What peak_live_activations does not exceed; v = virtual_stages, m = num_microbatches, p = num_ranks. gpipe: m.
/// 1f1b: min(m, p - pp_rank). interleaved: min(m v, 2 (p - 1 - pp_rank) + (v - 1) p + 1). zb_h1: min(m, p).
/// zbv: min(2 m, 2 p), of stages half as deep. *Local.*
int activation_bound(const ScheduleOptions& options, int pp_rank);

}  // namespace collimate
