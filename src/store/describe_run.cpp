// What `inspect` says of run folders, their metrics and checkpoints.

#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/store/checkpoint_store.hpp"
#include "describe.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

CheckpointStore store_of(const std::string& folder) { return {folder, 1}; }

std::string pointer_text(const CheckpointStore& store, const char* name) {
  const auto path = store.find_pointer(name);
  return path ? fs::path(*path).filename().string() : "none";
}

// What the watchdog of a job that hung has left.
std::string describe_failures(const fs::path& folder) {
  const auto num_files = std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  return fmt::format("  {}: where the threads of {} ranks were when a job hung\n", folder.string(), num_files);
}

}  // namespace

std::string describe_metrics(const std::string& path) {
  std::istringstream lines(read_text_file(path));
  std::string line;
  nlohmann::json last;
  std::int64_t num_lines = 0;
  while (std::getline(lines, line)) {
    const std::string place = fmt::format("{}: line {}", path, ++num_lines);
    last = parse_json(line, place);
    if (!last.is_object() || !last.contains("step")) throw InputError(fmt::format("{}: has no \"step\"", place));
  }
  return fmt::format("metrics {}\n  {} lines\n  last: {}\n", path, num_lines, num_lines == 0 ? "none" : last.dump());
}

std::string describe_checkpoint(const std::string& path, InspectDepth depth) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  if (depth == InspectDepth::kVerify) checkpoint.verify();
  std::string text = fmt::format("checkpoint {}\n  step {}\n  trainer state  {}\n", path, checkpoint.state().step,
                                 checkpoint.state().trainer_state.dump());
  text += fmt::format("  layout         {}\n", nlohmann::json(checkpoint.state().layout).dump());
  for (const auto& [name, value] : checkpoint.state().fingerprints) text += fmt::format("  {:<14} {}\n", name, value);
  for (const std::string& group : checkpoint.group_names()) {
    const std::vector<TensorInfo> tensors = checkpoint.tensors(group);
    std::uint64_t num_bytes = 0;
    for (const TensorInfo& tensor : tensors) num_bytes += tensor.num_bytes();
    text += fmt::format("  {:<14} {} tensors, {} bytes\n", group, tensors.size(), num_bytes);
  }
  return text;
}

std::string describe_checkpoints(const std::string& folder, InspectDepth depth) {
  const CheckpointStore store = store_of(folder);
  std::string text = fmt::format("checkpoints {}\n  latest: {}, best: {}\n", folder, pointer_text(store, "latest"),
                                 pointer_text(store, "best"));
  for (const std::int64_t step : store.steps()) text += describe_checkpoint(store.path_of(step), depth);
  return text;
}

std::string describe_run(const std::string& folder, InspectDepth depth) {
  const fs::path root(folder);
  std::string text = fmt::format("run {}\n", folder);
  if (const auto run = find_text_file((root / "run.json").string())) {
    text += fmt::format("  {}\n", parse_json(*run, (root / "run.json").string()).dump());
  }
  if (fs::exists(root / "metrics.jsonl")) text += describe_metrics((root / "metrics.jsonl").string());
  if (fs::exists(root / "checkpoints")) text += describe_checkpoints((root / "checkpoints").string(), depth);
  if (fs::exists(root / "failures")) text += describe_failures(root / "failures");
  return text;
}

bool holds_checkpoints(const std::string& folder) { return !store_of(folder).steps().empty(); }

}  // namespace collimate::detail
