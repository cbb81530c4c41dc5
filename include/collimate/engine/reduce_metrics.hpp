#pragma once
// The one reduction of a step's scalars.

#include <vector>

#include "collimate/comm/communicator.hpp"

namespace collimate {

/// *Collective.* Adds up every rank's values, in rank order, in float64.
void reduce_metrics(std::vector<double>& values, Communicator& group);

}  // namespace collimate
