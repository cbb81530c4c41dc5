#include "command_line.hpp"

#include <cstdio>
#include <memory>
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>

#include "collimate/base/log.hpp"
#include "verbs.hpp"

namespace collimate::app {

namespace {

void add_config(CLI::App& verb, ConfigOptions& config) {
  verb.add_option("CONFIG", config.file, "YAML file of the run")->required();
  verb.add_option("--set", config.overrides, "key.path=value over the file's; may be repeated")
      ->allow_extra_args(false);
}

// Registers a verb whose options live as long as the command does.
template <class Options, class AddOptions>
void add_verb(CLI::App& app, Command& chosen, const char* name, const char* help, ExitCode (*run)(const Options&),
              AddOptions add_options) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(name, help);
  add_options(*verb, *options);
  verb->callback([&chosen, options, run] { chosen = [options, run] { return run(*options); }; });
}

void add_verbs(CLI::App& app, Command& chosen) {
  add_verb(app, chosen, "check", "validate configuration, model folder, data and store, without MPI", run_check,
           [](CLI::App& verb, CheckOptions& options) {
             add_config(verb, options.config);
             verb.add_option("--ranks", options.num_ranks, "ranks the run is meant for")->check(CLI::PositiveNumber);
           });
  add_verb(app, chosen, "plan", "show how the ranks share the work, and in what order", run_plan,
           [](CLI::App& verb, PlanOptions& options) {
             add_config(verb, options.config);
             verb.add_option("--ranks", options.num_ranks, "ranks the run is meant for")->check(CLI::PositiveNumber);
             verb.add_option("--microbatches", options.num_microbatches, "instead of those of the first step")
                 ->check(CLI::PositiveNumber);
             verb.add_option("--schedule-svg", options.schedule_svg, "file for a picture of the schedule");
           });
  add_verb(app, chosen, "reference", "score the pairs that the reference store lacks", run_reference, add_config);
  add_verb(app, chosen, "train", "train the policy", run_train, [](CLI::App& verb, TrainOptions& options) {
    add_config(verb, options.config);
    verb.add_option("--resume", options.resume, "auto, never, or a checkpoint folder")->capture_default_str();
    verb.add_option("--allow-change", options.allowed_changes, "a key of the run's identity that may be another now")
        ->allow_extra_args(false);
  });
  add_verb(app, chosen, "evaluate", "print the metrics of the evaluation set as JSON", run_evaluate,
           [](CLI::App& verb, EvaluateOptions& options) {
             add_config(verb, options.config);
             verb.add_option("--checkpoint", options.checkpoint, "latest, best, initial, or a checkpoint folder")
                 ->capture_default_str();
           });
  add_verb(app, chosen, "export", "write a Hugging Face folder", run_export,
           [](CLI::App& verb, ExportOptions& options) {
             add_config(verb, options.config);
             verb.add_option("--output", options.output, "folder to write")->required();
             verb.add_option("--checkpoint", options.checkpoint, "latest, best, initial, or a checkpoint folder")
                 ->capture_default_str();
             verb.add_option("--dtype", options.dtype, "dtype of the weights")
                 ->check(CLI::IsMember({"source", "float32", "float16", "bfloat16", "float64"}))
                 ->capture_default_str();
           });
  add_verb(app, chosen, "inspect", "say what a file or folder is", run_inspect,
           [](CLI::App& verb, InspectOptions& options) {
             verb.add_option("PATH", options.path)->required();
             verb.add_flag("--verify", options.verify, "read everything and check all checksums");
             verb.add_flag("--json", options.json, "print one JSON object");
           });
}

}  // namespace

Command parse_command_line(int argc, char** argv) {
  CLI::App app("Collimate: distributed Direct Preference Optimization", "collimate");
  app.set_version_flag("--version", "collimate " COLLIMATE_VERSION);
  app.require_subcommand(1);
  Command chosen;
  add_verbs(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream answer;
    std::ostringstream complaint;
    const ExitCode code = app.exit(error, answer, complaint) == 0 ? ExitCode::kDone : ExitCode::kBadInput;
    static_cast<void>(write_printable(stderr, complaint.str()));
    write_answer(answer.str());
    return [code] { return code; };
  }
  return chosen;
}

}  // namespace collimate::app
