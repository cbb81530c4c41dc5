#pragma once
// From what ranks compute to what they also tell each other. Pure.

#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// The schedule with a send and a receive for every output and every input gradient that a stage on another rank needs;
/// none between stages of one rank. Messages carry no tags: what one rank sends another arrives in the order of
/// sending, so each rank posts its receives from one sender in just that order. A send stands directly behind the
/// action that made the data. A receive stands one compute action ahead of the one that needs it, or as far ahead as a
/// later message of the same sender that is needed sooner. `compute` has compute actions only. *Local.* Throws
/// InvariantError where data is made that nothing needs.
Schedule add_messages(const Schedule& compute);

}  // namespace collimate
