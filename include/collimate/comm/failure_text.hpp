#pragma once
// A failure on its way to other ranks, as text.

#include <string>

#include "collimate/base/error.hpp"

namespace collimate::detail {

struct Failure {
  ExitCode code = ExitCode::kFailure;
  std::string message;

  bool operator==(const Failure&) const = default;
};

/// "<exit code>\n<message>". *Local.*
std::string render_failure(const Failure& failure);

/// Any text is a failure: one without an exit code that a failure may have is an ExitCode::kFailure, whose message is
/// all of the text. *Local.*
Failure read_failure(const std::string& text);

}  // namespace collimate::detail
