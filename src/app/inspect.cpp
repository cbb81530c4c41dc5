#include "collimate/store/inspect.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "verbs.hpp"

namespace collimate::app {

ExitCode run_inspect(const InspectOptions& options) {
  fmt::print("{}", inspect_path(options.path, options.verify ? InspectDepth::kVerify : InspectDepth::kSummary,
                                options.json ? InspectForm::kJson : InspectForm::kTable));
  return ExitCode::kDone;
}

}  // namespace collimate::app
