#pragma once
// The verbs of the `collimate` command: what each takes and the function that runs it. One short file a verb.

#include <optional>
#include <string>
#include <vector>

#include "collimate/base/error.hpp"

namespace collimate::app {

/// What every verb with a CONFIG takes.
struct ConfigOptions {
  std::string file;
  std::vector<std::string> overrides;  // --set key.path=value
};

struct CheckOptions {
  ConfigOptions config;
  std::optional<int> num_ranks;  // default: what the degrees come to
};

struct PlanOptions {
  ConfigOptions config;
  std::optional<int> num_ranks;         // default: what the degrees come to
  std::optional<int> num_microbatches;  // default: those of the first step
  std::optional<std::string> schedule_svg;
};

struct TrainOptions {
  ConfigOptions config;
  std::string resume = "auto";
  std::vector<std::string> allowed_changes;
};

struct EvaluateOptions {
  ConfigOptions config;
  std::string checkpoint = "latest";
};

struct ExportOptions {
  ConfigOptions config;
  std::string output;
  std::string checkpoint = "latest";
  std::string dtype = "source";
};

struct InspectOptions {
  std::string path;
  bool verify = false;
  bool json = false;
};

ExitCode run_check(const CheckOptions& options);
ExitCode run_plan(const PlanOptions& options);
ExitCode run_reference(const ConfigOptions& options);
ExitCode run_train(const TrainOptions& options);
ExitCode run_evaluate(const EvaluateOptions& options);
ExitCode run_export(const ExportOptions& options);
ExitCode run_inspect(const InspectOptions& options);

}  // namespace collimate::app
