#pragma once
// The checks that no field can make alone. A new one is a function and a row of the table in cross_checks.cpp.

#include "collimate/config/findings.hpp"
#include "collimate/job/config.hpp"

namespace collimate {

/// Adds to `findings` what does not fit together in `config`, at the places of the keys it is about; what may only
/// follow from an earlier finding is left out. *Local.*
void check_across_fields(const RunConfig& config, Findings& findings);

}  // namespace collimate
