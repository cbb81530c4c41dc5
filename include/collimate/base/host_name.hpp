#pragma once
// The name of the machine, for messages and records.

#include <string>

namespace collimate {

/// This machine's name. *Local.*
std::string host_name();

}  // namespace collimate
