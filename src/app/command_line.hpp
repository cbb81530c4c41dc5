#pragma once
// The command line of `collimate`, read by CLI11.

#include <functional>

#include "collimate/base/error.hpp"

namespace collimate::app {

/// What is left to do once the command line has been read.
using Command = std::function<ExitCode()>;

/// Reads the command line. A wrong one, or a call for help, gives a command that prints so and ends with 2 or 0.
Command parse_command_line(int argc, char** argv);

}  // namespace collimate::app
