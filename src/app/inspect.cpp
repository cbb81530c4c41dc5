#include "collimate/store/inspect.hpp"

#include "collimate/base/log.hpp"
#include "verbs.hpp"

namespace collimate::app {

ExitCode run_inspect(const InspectOptions& options) {
  print_answer("{}", inspect_path(options.path, options.verify ? InspectDepth::kVerify : InspectDepth::kSummary,
                                  options.json ? InspectForm::kJson : InspectForm::kTable));
  return ExitCode::kDone;
}

}  // namespace collimate::app
