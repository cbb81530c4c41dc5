// What `inspect` says of run folders, their metrics and checkpoints.

#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/store/checkpoint_store.hpp"
#include "describe.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

CheckpointStore store_of(const std::string& folder) { return {folder, 1}; }

/// The step that a pointer names.
Description pointed_name(const CheckpointStore& store, const char* name) {
  const auto path = store.find_pointer(name);
  return path ? Description(fs::path(*path).filename().string()) : Description();
}

std::uint64_t bytes_of(const std::vector<TensorInfo>& tensors) {
  std::uint64_t num_bytes = 0;
  for (const TensorInfo& tensor : tensors) num_bytes += tensor.num_bytes();
  return num_bytes;
}

Description groups_of(const Checkpoint& checkpoint) {
  Description groups = Description::array();
  for (const std::string& group : checkpoint.group_names()) {
    const std::vector<TensorInfo> tensors = checkpoint.tensors(group);
    groups.push_back({{"group", group}, {"tensors", tensors.size()}, {"bytes", bytes_of(tensors)}});
  }
  return groups;
}

Checkpoint open_checkpoint(const std::string& path, InspectDepth depth) {
  Checkpoint checkpoint = Checkpoint::open(path);
  if (depth == InspectDepth::kVerify) checkpoint.verify();
  return checkpoint;
}

// What the watchdog of a job that hung has left: a file a rank.
Description failures_of(const fs::path& folder) {
  std::error_code none;  // a file of that name, or a folder that may not be read, tells of no rank
  const auto num_files = std::distance(fs::directory_iterator(folder, none), fs::directory_iterator());
  return {{"path", folder.string()}, {"ranks_of_a_job_that_hung", num_files}};
}

}  // namespace

Description describe_metrics(const std::string& path) {
  std::istringstream lines(read_text_file(path));
  std::string line;
  nlohmann::json last;
  std::int64_t num_lines = 0;
  while (std::getline(lines, line)) {
    const std::string place = fmt::format("{}: line {}", path, ++num_lines);
    last = parse_json(line, place);
    if (!last.is_object() || !last.contains("step")) throw InputError(fmt::format("{}: has no \"step\"", place));
  }
  return {{"kind", "metrics"}, {"path", path}, {"lines", num_lines}, {"last", last}};
}

Description describe_checkpoint(const std::string& path, InspectDepth depth) {
  const Checkpoint checkpoint = open_checkpoint(path, depth);
  const CheckpointState& state = checkpoint.state();
  return {{"kind", "checkpoint"},
          {"path", path},
          {"step", state.step},
          {"layout", state.layout},
          {"groups", groups_of(checkpoint)},
          {"trainer_state", state.trainer_state},
          {"fingerprints", state.fingerprints}};
}

Description describe_checkpoints(const std::string& folder, InspectDepth depth) {
  const CheckpointStore store = store_of(folder);
  Description list = Description::array();
  for (const std::int64_t step : store.steps()) {
    const std::string path = store.path_of(step);
    const Checkpoint checkpoint = open_checkpoint(path, depth);
    std::uint64_t num_bytes = 0;
    for (const std::string& group : checkpoint.group_names()) num_bytes += bytes_of(checkpoint.tensors(group));
    list.push_back({{"step", step}, {"bytes", num_bytes}, {"name", fs::path(path).filename().string()}});
  }
  return {{"kind", "checkpoints"},
          {"path", folder},
          {"latest", pointed_name(store, "latest")},
          {"best", pointed_name(store, "best")},
          {"steps", std::move(list)}};
}

Description describe_run(const std::string& folder, InspectDepth depth) {
  const fs::path root(folder);
  Description description{{"kind", "run"}, {"path", folder}};
  Description record;
  if (const auto text = find_text_file((root / "run.json").string())) {
    record = parse_json(*text, (root / "run.json").string());
  }
  for (const auto& [key, value] : record.items()) {
    if (key != "fingerprints") description["record"][key] = value;
  }
  if (fs::exists(root / "metrics.jsonl")) description["metrics"] = describe_metrics((root / "metrics.jsonl").string());
  if (fs::exists(root / "checkpoints")) {
    description["checkpoints"] = describe_checkpoints((root / "checkpoints").string(), depth);
  }
  if (fs::exists(root / "failures")) description["failures"] = failures_of(root / "failures");
  for (const char* part : {"metrics", "checkpoints"}) {
    if (description.contains(part)) description[part].erase("kind");
  }
  if (record.contains("fingerprints")) description["fingerprints"] = record["fingerprints"];
  return description;
}

bool holds_checkpoints(const std::string& folder) { return !store_of(folder).steps().empty(); }

}  // namespace collimate::detail
