#include "collimate/store/inspect.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "verbs.hpp"

namespace collimate::app {

ExitCode run_inspect(const InspectOptions& options) {
  fmt::print("{}", inspect_path(options.path, options.verify ? InspectDepth::kVerify : InspectDepth::kSummary));
  return ExitCode::kDone;
}

}  // namespace collimate::app
